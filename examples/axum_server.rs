//! A web application of axum's over a stack of its own, fetched by a client on that stack and by the distribution's `curl`.
//!
//! axum is told of nothing: it serves a listener, and the listener is one of tapsock's.
//!
//! ```sh
//! cargo run --example axum_server
//! ```

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Path};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tapsock::Host;
use tapsock::tokio::{TcpListener, TcpStream};
use tapsock_driver::auto::{FarEnd, Opened};
use tapsock_driver::{KernelEnd, Namespace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn application() -> Router {
    Router::new()
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello, {name}\n") }))
        .route(
            "/whoami",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("{peer}\n") }),
        )
        .route("/length", post(|body: String| async move { format!("{} bytes\n", body.len()) }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse()?);
    let opened = Opened::best(&kernel_end).map_err(|refused| format!("no link: {refused:?}"))?;
    let host = Host::builder().link(opened.link).privileged().address("10.7.0.2/24".parse()?).start()?;

    let listener = TcpListener::bind(&host, "0.0.0.0:80").await?;
    // By `tap_io` axum knows the peer's address of a listener that is not its own.
    let served = axum::serve(
        listener.tap_io(|stream| stream.set_nodelay(true).expect("a connection takes it")),
        application().into_make_service_with_connect_info::<SocketAddr>(),
    );
    let server = tokio::spawn(served.into_future());

    for (request, expected) in [
        ("GET /hello/lo HTTP/1.1\r\nHost: lo\r\nConnection: close\r\n\r\n", "hello, lo\n"),
        ("GET /whoami HTTP/1.0\r\n\r\n", "127.0.0.1:"),
        (
            "POST /length HTTP/1.1\r\nHost: lo\r\nConnection: close\r\nContent-Length: 5\r\n\r\n12345",
            "5 bytes\n",
        ),
    ] {
        let answer = fetch(&host, request).await?;
        println!("{answer}");
        assert!(answer.starts_with("HTTP/1.") && answer.contains(expected), "{answer}");
    }
    match opened.far_end {
        FarEnd::Kernel(namespace) => curl(namespace).await?,
        _ => println!("skipped: no link to the kernel: {}", opened.refused[0]),
    }
    server.abort();
    Ok(())
}

/// Sends a request over `lo` and returns the answer.
async fn fetch(host: &Host, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(host, "127.0.0.1:80").await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Has the kernel's `curl` fetch over the link.
async fn curl(namespace: Namespace) -> Result<(), Box<dyn Error>> {
    let mut curl = namespace.command("curl");
    let urls = ["http://10.7.0.2/hello/curl", "http://10.7.0.2/whoami"];
    curl.args(["--silent", "--show-error", "--max-time", "5"]).args(urls);
    let output = tokio::task::spawn_blocking(move || curl.output()).await?;
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: there is no curl on this machine");
            return Ok(());
        }
        output => output?,
    };
    let said = String::from_utf8(output.stdout)?;
    println!("$ curl {}\n{said}", urls.join(" "));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("hello, curl\n10.7.0.1:"), "{said}");
    Ok(())
}
