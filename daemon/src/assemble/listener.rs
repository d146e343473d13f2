//! What is set up for each connection: its socket, and TLS.

use std::any::Any;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use anyhow::Context;
use domain::config::TlsFiles;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::SockRef;

use crate::gateway::Peer;

/// Notes both ends of a new connection and sets its socket up.
pub(super) fn accepted(connection: &dyn Any, data: &mut Extensions, client_timeout: Duration) {
    let plain = connection.downcast_ref::<TcpStream>();
    let secured = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
    let Some(socket) = plain.or_else(secured) else { return };
    let options = SockRef::from(socket);
    // Tokens must not wait for each other's acknowledgement. What fails here fails with the connection.
    let _ = options.set_tcp_nodelay(true);
    // The kernel ends the connection of a client that no longer reads: we then see it gone like any other.
    let _ = options.set_tcp_user_timeout(Some(client_timeout));
    if let (Ok(peer), Ok(local)) = (socket.peer_addr(), socket.local_addr()) {
        data.insert(Peer::new(peer, local));
    }
}

/// Reads certificate and key.
///
/// # Errors
/// One cannot be read, or they do not fit together.
pub(super) fn server_tls(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let certificates: Vec<CertificateDer> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("[endpoint] tls_cert: {} cannot be read", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("[endpoint] tls_key: {} cannot be read", files.key.display()))?;
    // actix adds the ALPN names of HTTP/2 and HTTP/1.1.
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("[endpoint] tls_cert and tls_key do not fit together")
}
