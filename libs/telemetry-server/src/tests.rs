//! Listeners with real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use telemetry_testing::{Authority, ClientFiles, PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Address, Connection, Event, Incoming, ListenError, Listener, ListenerSettings, Observer, PeerAddress};

#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn notify(&self, event: &Event<'_>) {
        let note = match event {
            Event::ReloadFailed(invalid) => format!("ReloadFailed {invalid}"),
            event => format!("{event:?}"),
        };
        self.0.lock().unwrap().push(note);
    }
}

impl Notes {
    async fn wait_for(&self, what: &str) {
        eventually(what, async || self.0.lock().unwrap().iter().any(|note| note.starts_with(what))).await;
    }
}

fn settings() -> ListenerSettings {
    ListenerSettings::new("127.0.0.1:0".parse().unwrap())
}

fn with_tls(authority: &Authority, client_ca: Option<&Authority>) -> ListenerSettings {
    let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
    let mut settings = settings();
    settings.tls.cert = Some(cert);
    settings.tls.key = Some(key);
    settings.tls.client_ca = client_ca.map(Authority::ca);
    settings
}

async fn listen(settings: &ListenerSettings) -> (Incoming, String, Notes) {
    let listener = Listener::bind(settings).await.unwrap();
    let (address, notes) = (listener.address().to_string(), Notes::default());
    (listener.incoming(Arc::new(notes.clone())), address, notes)
}

async fn refused(settings: &ListenerSettings) -> String {
    match Listener::bind(settings).await.unwrap_err() {
        ListenError::Setting(invalid) => invalid.to_string(),
        error => panic!("{error:?}"),
    }
}

async fn connect_tls(address: &str, files: &ClientFiles) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files.ca.as_ref().unwrap()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
        _ => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    // With TLS 1.3 a client learns only by reading that its certificate is refused.
    stream.write_all(b"hello").await?;
    Ok(stream)
}

async fn next(incoming: &mut Incoming) -> Connection {
    timeout(PATIENCE, incoming.next()).await.expect("a connection comes").unwrap().unwrap()
}

async fn is_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut buffer = [0; 64];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("something is sent, or the end");
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn yields_connections_with_the_address_of_their_peer() {
    let (mut incoming, address, _) = listen(&settings()).await;
    let mut client = TcpStream::connect(&address).await.unwrap();
    let mut connection = next(&mut incoming).await;
    assert_eq!(connection.peer().address(), PeerAddress::Tcp(client.local_addr().unwrap()));
    client.write_all(b"ping").await.unwrap();
    let mut received = [0; 4];
    connection.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"ping");
}

#[tokio::test]
async fn tells_the_process_at_the_other_end_of_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let mut settings = ListenerSettings::new(Address::Unix(path.clone()));
    settings.socket.mode = 0o600;
    let (mut incoming, _, _) = listen(&settings).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let _client = UnixStream::connect(&path).await.unwrap();
    let connection = next(&mut incoming).await;
    let PeerAddress::Unix { pid, uid, .. } = connection.peer().address() else { panic!("{connection:?}") };
    assert_eq!((pid.unwrap() as u32, uid), (std::process::id(), nix::unistd::getuid().as_raw()));
    drop(incoming);
    eventually("the file is removed", async || !path.exists()).await;
}

#[tokio::test]
async fn closes_a_connection_over_the_limit_at_once_and_takes_one_when_another_ends() {
    let mut settings = settings();
    settings.limits.connections = 1;
    let (mut incoming, address, notes) = listen(&settings).await;
    let _first = TcpStream::connect(&address).await.unwrap();
    let served = next(&mut incoming).await;
    assert!(is_closed(&mut TcpStream::connect(&address).await.unwrap()).await);
    notes.wait_for("TooManyConnections { max: 1 }").await;
    drop(served);
    let _third = TcpStream::connect(&address).await.unwrap();
    next(&mut incoming).await;
}

#[tokio::test]
async fn ends_a_connection_that_sends_nothing_and_one_that_makes_no_call() {
    let mut settings = settings();
    settings.limits.handshake_timeout = Duration::from_millis(100);
    settings.limits.idle_timeout = Some(Duration::from_millis(300));
    let (mut incoming, address, _) = listen(&settings).await;
    let _silent = TcpStream::connect(&address).await.unwrap();
    let mut connection = next(&mut incoming).await;
    assert!(is_closed(&mut connection).await);

    let mut client = TcpStream::connect(&address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let mut connection = next(&mut incoming).await;
    assert!(!is_closed(&mut connection).await, "a byte has come");
    connection.peer().call_began();
    let reading = timeout(Duration::from_secs(1), is_closed(&mut connection)).await;
    assert!(reading.is_err(), "a call is under way");
    connection.peer().call_ended();
    assert!(is_closed(&mut connection).await);
}

#[tokio::test]
async fn ends_a_connection_that_sends_without_a_pause_and_makes_no_call() {
    let mut settings = settings();
    settings.limits.idle_timeout = Some(Duration::from_millis(300));
    let (mut incoming, address, _) = listen(&settings).await;
    let mut client = TcpStream::connect(&address).await.unwrap();
    let mut connection = next(&mut incoming).await;
    let sending = tokio::spawn(async move { while client.write_all(&[0; 65_536]).await.is_ok() {} });
    let mut buffer = [0; 64];
    let reading = async { while matches!(connection.read(&mut buffer).await, Ok(1..)) {} };
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "there is always more to read");
    drop(connection);
    sending.await.unwrap();
}

#[tokio::test]
async fn ends_a_connection_whose_client_takes_nothing() {
    let mut settings = settings();
    settings.limits.write_timeout = Duration::from_millis(200);
    let (mut incoming, address, _) = listen(&settings).await;
    let _client = TcpStream::connect(&address).await.unwrap();
    let mut connection = next(&mut incoming).await;
    let writing = async {
        loop {
            if let Err(error) = connection.write_all(&[0; 65_536]).await {
                return error.kind();
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, writing).await;
    assert_eq!(ended.expect("the client takes nothing"), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn encrypts_for_clients_that_trust_the_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (mut incoming, address, notes) = listen(&with_tls(&authority, None)).await;
    let _client = connect_tls(&address, &authority.trusted()).await.unwrap();
    assert_eq!(next(&mut incoming).await.peer().certificate(), None);
    connect_tls(&address, &other.trusted()).await.unwrap_err();
    notes.wait_for("HandshakeFailed").await;
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    while !is_closed(&mut plain).await {}
}

#[tokio::test]
async fn takes_only_client_certificates_of_the_ca_and_tells_their_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (mut incoming, address, _) = listen(&with_tls(&authority, Some(&authority))).await;
    let _client = connect_tls(&address, &authority.client("ops")).await.unwrap();
    assert_eq!(next(&mut incoming).await.peer().certificate(), Some("ops"));

    let of_other = ClientFiles { ca: Some(authority.ca()), ..other.client("ops") };
    for files in [authority.trusted(), of_other, authority.expired_client("ops")] {
        let refused = match connect_tls(&address, &files).await {
            Ok(mut stream) => is_closed(&mut stream).await,
            Err(_) => true,
        };
        assert!(refused, "{files:?}");
    }
    let _client = connect_tls(&address, &authority.client("next")).await.unwrap();
    assert_eq!(next(&mut incoming).await.peer().certificate(), Some("next"), "none of the others came through");
}

#[tokio::test]
async fn a_half_handshake_holds_up_nobody_and_ends() {
    let authority = Authority::new();
    let mut settings = with_tls(&authority, None);
    settings.limits.handshake_timeout = Duration::from_millis(200);
    let (mut incoming, address, notes) = listen(&settings).await;
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01, 0x01]).await.unwrap();
    let _client = connect_tls(&address, &authority.trusted()).await.unwrap();
    next(&mut incoming).await;
    assert!(is_closed(&mut half).await);
    notes.wait_for("HandshakeFailed").await;
}

#[tokio::test]
async fn reads_changed_certificates_and_keeps_the_old_ones_while_they_are_damaged() {
    let (authority, other) = (Authority::new(), Authority::new());
    let settings = with_tls(&authority, None);
    let (cert, key) = (settings.tls.cert.clone().unwrap(), settings.tls.key.clone().unwrap());
    let (mut incoming, address, notes) = listen(&settings).await;
    let mut before = connect_tls(&address, &authority.trusted()).await.unwrap();
    let mut served = next(&mut incoming).await;

    let (new_cert, new_key) = other.certificate("server", &["127.0.0.1"]);
    fs::copy(&new_cert, &cert).unwrap();
    notes.wait_for("ReloadFailed TLS_KEY").await;
    let _client = connect_tls(&address, &authority.trusted()).await.unwrap();
    next(&mut incoming).await;

    fs::copy(&new_key, &key).unwrap();
    notes.wait_for("Reloaded(TlsCert)").await;
    let _client = connect_tls(&address, &other.trusted()).await.unwrap();
    next(&mut incoming).await;

    let mut received = [0; 5];
    served.read_exact(&mut received).await.unwrap();
    before.write_all(b"again").await.unwrap();
    served.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"again", "a connection outlives the change");
}

#[tokio::test]
async fn a_changed_client_ca_shuts_out_the_certificates_of_the_old_one() {
    let (authority, next_authority) = (Authority::new(), Authority::new());
    let client_ca = tempfile::NamedTempFile::new().unwrap();
    fs::copy(authority.ca(), client_ca.path()).unwrap();
    let mut settings = with_tls(&authority, None);
    settings.tls.client_ca = Some(client_ca.path().to_owned());
    let (mut incoming, address, notes) = listen(&settings).await;
    let old = authority.client("ops");
    let _client = connect_tls(&address, &old).await.unwrap();
    next(&mut incoming).await;

    fs::copy(next_authority.ca(), client_ca.path()).unwrap();
    notes.wait_for("Reloaded(TlsCert)").await;
    if let Ok(mut refused) = connect_tls(&address, &old).await {
        assert!(is_closed(&mut refused).await);
    }
    let new = ClientFiles { ca: Some(authority.ca()), ..next_authority.client("dashboard") };
    let _client = connect_tls(&address, &new).await.unwrap();
    assert_eq!(next(&mut incoming).await.peer().certificate(), Some("dashboard"));
}

#[tokio::test]
async fn refuses_settings_that_do_not_go_together() {
    let authority = Authority::new();
    let complete = with_tls(&authority, Some(&authority));
    let mut without_key = complete.clone();
    without_key.tls.key = None;
    assert_eq!(refused(&without_key).await, "TLS_CERT: needs TLS_KEY, too");
    let mut ca_alone = settings();
    ca_alone.tls.client_ca = Some(authority.ca());
    assert_eq!(refused(&ca_alone).await, "TLS_CLIENT_CA: needs TLS_CERT, too");
    let unix = ListenerSettings { address: Address::Unix("/tmp/s".into()), ..complete };
    assert!(refused(&unix).await.starts_with("TLS_CERT: is not for Unix sockets"));
}

#[tokio::test]
async fn refuses_files_that_cannot_be_used() {
    let authority = Authority::new();
    let complete = with_tls(&authority, Some(&authority));
    let (_, other_key) = authority.certificate("other", &["127.0.0.1"]);
    let with = |change: &dyn Fn(&mut ListenerSettings)| {
        let mut settings = complete.clone();
        change(&mut settings);
        settings
    };
    let missing = || Some(Path::new("/no/such/file").to_owned());
    let tokens = tempfile::NamedTempFile::new().unwrap();
    fs::write(tokens.path(), "ops control sha256:2bb8\n").unwrap();
    for (settings, problem) in [
        (with(&|settings| settings.tls.cert = missing()), "TLS_CERT: cannot read \"/no/such/file\": No such file"),
        (with(&|settings| settings.tls.key = Some(other_key.clone())), "TLS_KEY: "),
        (with(&|settings| settings.tls.key = Some(authority.ca())), "TLS_KEY: "),
        (with(&|settings| settings.tls.client_ca = Some(other_key.clone())), "TLS_CLIENT_CA: "),
        (with(&|settings| settings.tls.cert = Some("/".into())), "TLS_CERT: \"/\" is not a file"),
        (with(&|settings| settings.tokens = missing()), "TOKENS_FILE: cannot read"),
        (with(&|settings| settings.tokens = Some(tokens.path().to_owned())), "TOKENS_FILE: "),
    ] {
        let message = refused(&settings).await;
        assert!(message.starts_with(problem), "{problem}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[tokio::test]
async fn refuses_addresses_beyond_loopback_without_tls_or_without_a_login() {
    let authority = Authority::new();
    let beyond: Address = "0.0.0.0:0".parse().unwrap();
    let open = ListenerSettings { address: beyond.clone(), ..settings() };
    let message = refused(&open).await;
    assert!(message.starts_with("LISTEN: 0.0.0.0:0 can be reached from other hosts: set TLS_CERT, TLS_KEY and"));
    let without_login = ListenerSettings { address: beyond.clone(), ..with_tls(&authority, None) };
    assert!(refused(&without_login).await.contains("can be reached from other hosts"));

    let allowed = Listener::bind(&ListenerSettings { insecure: true, ..open }).await.unwrap();
    assert!(allowed.is_exposed());
    let protected = ListenerSettings { address: beyond, ..with_tls(&authority, Some(&authority)) };
    assert!(!Listener::bind(&protected).await.unwrap().is_exposed());
}

#[tokio::test]
async fn refuses_an_address_in_use() {
    let listener = Listener::bind(&settings()).await.unwrap();
    let again = ListenerSettings::new(listener.address().clone());
    let error = Listener::bind(&again).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", listener.address()));
}
