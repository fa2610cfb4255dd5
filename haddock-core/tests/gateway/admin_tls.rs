//! The admin API by https, for callers that have a certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haddock_core::locator::ServiceLocator as _;
use haddock_core::locator::gateway::{GatewayBuilder, TlsFiles};
use haddock_core::locator::remote::{CallerTls, RemoteGateway};
use haddock_core::{Error, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::world::{World, eventually, service};

/// An authority, and a folder for what it signs.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).expect("signed").pem()).expect("ours");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signs(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> TlsFiles {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let files = TlsFiles { certificate: self.file(&format!("{name}.pem")), key: self.file(&format!("{name}.key")) };
        std::fs::write(&files.certificate, signed.pem()).expect("ours");
        std::fs::write(&files.key, key.serialize_pem()).expect("ours");
        files
    }

    fn server(&self) -> TlsFiles {
        self.signs("server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self) -> TlsFiles {
        self.signs("client", ExtendedKeyUsagePurpose::ClientAuth)
    }
}

fn by_https(builder: GatewayBuilder, server: &TlsFiles) -> GatewayBuilder {
    builder.admin_tls(&server.certificate, &server.key)
}

async fn world(with: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> World {
    let world = World::new(false).await;
    world.kill();
    world.begin(with).await;
    world
}

fn remote(world: &World, token: Option<&str>, authority: &Path, own: Option<&TlsFiles>) -> RemoteGateway {
    let url = format!("https://{}", world.admin());
    let tls = CallerTls { authority: authority.to_owned(), own: own.cloned() };
    RemoteGateway::over_tls(&url, token, &tls).expect("good files")
}

/// What is set up.
type With<'a> = dyn Fn(GatewayBuilder) -> GatewayBuilder + 'a;

async fn refusal(remote: &RemoteGateway) -> Error {
    remote.observe(&service()).await.expect_err("refused")
}

#[tokio::test]
async fn a_caller_with_a_certificate_of_the_authority_is_served_and_nobody_else() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server();
    let world = world(|builder| by_https(builder, &server).admin_client_ca(ours.file("ca.pem"))).await;
    let ca = ours.file("ca.pem");
    let good = remote(&world, None, &ca, Some(&ours.client()));
    assert!(good.observe(&service()).await.expect("served").instances.is_empty());
    assert!(good.to_string().starts_with("gateway at `https://127.0.0.1:"), "{good}");

    let error = refusal(&remote(&world, None, &ca, None)).await;
    assert_eq!(error.kind(), ErrorKind::LocatorRefused, "{error}");
    assert!(error.message().contains("wants a certificate"), "{error}");

    for other in [theirs.client(), ours.signs("for-servers", ExtendedKeyUsagePurpose::ServerAuth)] {
        let error = refusal(&remote(&world, None, &ca, Some(&other))).await;
        assert_eq!(error.kind(), ErrorKind::LocatorRefused, "{error}");
        assert!(error.message().contains(&format!("`{}`", other.certificate.display())), "{error}");
    }

    let error = refusal(&remote(&world, None, &theirs.file("ca.pem"), Some(&ours.client()))).await;
    assert_eq!(error.kind(), ErrorKind::LocatorRefused, "{error}");
    assert!(error.message().contains(&format!("`{}`", theirs.file("ca.pem").display())), "{error}");

    let plain = RemoteGateway::new(&format!("http://{}", world.admin()), None).expect("valid");
    assert_eq!(refusal(&plain).await.kind(), ErrorKind::LocatorUnavailable);
}

#[tokio::test]
async fn a_token_is_needed_beside_the_certificate_if_there_is_one() {
    let ours = Authority::new();
    let (server, client, ca) = (ours.server(), ours.client(), ours.file("ca.pem"));
    for authority in [None, Some(&ca)] {
        let world = world(|builder| {
            let builder = by_https(builder, &server).admin_token("sesame-sesame-sesame");
            match authority {
                Some(file) => builder.admin_client_ca(file),
                None => builder,
            }
        })
        .await;
        let own = authority.map(|_| &client);
        let good = remote(&world, Some("sesame-sesame-sesame"), &ca, own);
        good.observe(&service()).await.expect("served");
        let error = refusal(&remote(&world, Some("another"), &ca, own)).await;
        assert!(error.hint().expect("a hint").contains("token"), "{error}");
    }
}

#[tokio::test]
async fn a_replaced_certificate_is_used_for_new_callers() {
    let (ours, next) = (Authority::new(), Authority::new());
    let server = ours.server();
    let world = world(|builder| by_https(builder, &server)).await;
    let old = remote(&world, None, &ours.file("ca.pem"), None);
    old.observe(&service()).await.expect("served");
    let replaced = next.server();
    std::fs::copy(&replaced.certificate, &server.certificate).expect("ours");
    std::fs::copy(&replaced.key, &server.key).expect("ours");
    let new = remote(&world, None, &next.file("ca.pem"), None);
    eventually("the new one is used", async || new.observe(&service()).await.is_ok()).await;
    // The one from before may resume its session. One that begins anew trusts another authority.
    let late = remote(&world, None, &ours.file("ca.pem"), None);
    late.observe(&service()).await.expect_err("another authority");
}

#[tokio::test]
async fn what_cannot_be_is_said_at_the_start_with_its_file() {
    let ours = Authority::new();
    let (server, ca) = (ours.server(), ours.file("ca.pem"));
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let start = async |with: &With<'_>| {
        let state = tempfile::tempdir().expect("a folder");
        let builder = haddock_core::locator::gateway::Gateway::builder().state_dir(state.path()).worker_threads(1);
        let started = with(builder).start().await;
        match started {
            Ok(gateway) => {
                gateway.shutdown(Duration::ZERO).await;
                None
            }
            Err(error) => Some(error),
        }
    };
    let nothing = ours.file("nothing.pem");
    std::fs::write(&nothing, "nothing").expect("ours");
    let missing = ours.file("missing.pem");
    let cases: [(&With<'_>, Option<&Path>); 6] = [
        (&|it| it.admin(anywhere).admin_client_ca(&ca), Some(&ca)),
        (&|it| by_https(it.admin(anywhere), &server).admin_client_ca(&ca), None),
        (&|it| by_https(it.admin(anywhere), &server).admin_client_ca(&nothing), Some(&nothing)),
        (&|it| by_https(it.admin(anywhere), &server).admin_client_ca(&missing), Some(&missing)),
        (&|it| it.admin(anywhere).admin_tls(&missing, &server.key).admin_client_ca(&ca), Some(&missing)),
        (&|it| it.admin(anywhere).admin_tls(&server.certificate, &nothing).admin_client_ca(&ca), Some(&nothing)),
    ];
    for (with, named) in cases {
        let error = start(with).await;
        match (error, named) {
            (None, None) => {}
            (Some(error), Some(file)) => assert!(error.message().contains(&format!("`{}`", file.display())), "{error}"),
            (error, named) => panic!("{error:?}, {named:?}"),
        }
    }
    let error = start(&|it| by_https(it.admin(anywhere), &server)).await.expect("https alone lets anybody in");
    assert!(error.message().contains("without a token"), "{error}");
    for tls in [
        CallerTls { authority: missing.clone(), own: None },
        CallerTls { authority: nothing.clone(), own: None },
        CallerTls {
            authority: ca.clone(),
            own: Some(TlsFiles { certificate: server.certificate.clone(), key: nothing.clone() }),
        },
    ] {
        let error = RemoteGateway::over_tls("https://127.0.0.1:1", None, &tls).expect_err("bad files");
        assert!(error.message().contains(".pem`"), "{error}");
    }
    let other = CallerTls { authority: ca, own: None };
    for bad in ["http://127.0.0.1:1", "https://user:secret@a:1", "gateway"] {
        let error = RemoteGateway::over_tls(bad, None, &other).expect_err(bad);
        assert!(error.hint().expect("a hint").contains("https://") && !error.to_string().contains("secret"), "{error}");
    }
}
