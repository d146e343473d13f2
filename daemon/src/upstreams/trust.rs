//! Which certificates upstreams may show.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The TLS side of upstream connections. The system's certificates are read when the first one is needed.
#[derive(Default)]
pub(crate) struct Trust {
    system: OnceLock<Arc<ClientConfig>>,
}

impl Trust {
    /// The TLS settings for an upstream that may bring its own certificates.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub(crate) fn config(&self, ca_file: Option<&str>) -> Result<ClientConfig, String> {
        match ca_file {
            None => Ok(ClientConfig::clone(self.system.get_or_init(|| Arc::new(config(system_roots()))))),
            Some(file) => {
                let mut roots = system_roots();
                let certificates = CertificateDer::pem_file_iter(file)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| format!("ca_file cannot be read: {error}"))?;
                let (added, _) = roots.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err("ca_file holds no certificate".to_owned());
                }
                Ok(config(roots))
            }
        }
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Single files that cannot be read are passed over: a connection that misses one says "unknown issuer".
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
