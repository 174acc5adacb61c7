//! `tapsock serve`: the files of a directory by HTTP.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clap::Args;
use console::style;
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};

use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::failure::{During, Failure};
use crate::http::{self, Directory};
use crate::splice;

/// How long a published connection may take to reach the stack.
const PATIENCE: Duration = Duration::from_secs(5);

/// The options of `tapsock serve`.
#[derive(Args, Debug)]
pub struct Options {
    /// The directory
    directory: PathBuf,
    /// Port of the stack to serve at
    #[arg(long, short, default_value_t = 80)]
    port: u16,
    /// Serve at this address of the machine's own network too, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS:PORT")]
    publish: Option<SocketAddr>,
    /// Do not tell of each request
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    attach: Attach,
}

/// Serves until the process is ended.
///
/// # Errors
/// The directory, the link, or an address that can't be had.
pub fn main(options: &Options) -> Result<(), Failure> {
    let site =
        Directory::new(&options.directory).during(format_args!("serve {}", options.directory.display()))?;
    let attached = options.attach.open(Wish::Auto, Tell::unless(options.quiet))?;
    attached.finish_capture_when_interrupted()?;
    let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, options.port));
    let listener =
        TcpListener::bind(&attached.host, any).during(format_args!("listen at port {}", options.port))?;
    let port = listener.local_addr().during("getsockname")?.port();
    let published = options.publish.map(Published::bind).transpose()?;

    println!("{} {}", style("Serving").bold(), options.directory.display());
    println!("  {:<12} {}: {}", "link", attached.link, attached.ours);
    if let Some(Published { at, .. }) = &published {
        println!("  {:<12} {}", "published", style(format!("http://{at}/")).underlined());
    }
    tell_how_to_reach(&attached, port, published.is_some());
    println!("  Ctrl-C ends it.\n");

    let (tell, told) = mpsc::channel();
    if let Some(published) = published {
        published.start(&attached.host, port, tell.clone())?;
    }
    let quiet = options.quiet;
    let log = move |line: &str| {
        if !quiet {
            println!("{line}");
        }
    };
    let site = Arc::new(site);
    let serving = move || {
        let ended = http::serve_logged(listener, &site, log);
        // Nobody listens where the other one has ended first.
        let _ = tell.send((format!("accept at port {port}"), ended));
    };
    thread::Builder::new().name("serve".to_owned()).spawn(serving).during("serve")?;
    let (what, ended) = told.recv().map_err(|_| Failure::new("nobody serves any more"))?;
    Err(ended).during(what).map_err(|failure| failure.or_gone(&attached.link))
}

/// A listener of the machine's own network.
struct Published {
    listener: std::net::TcpListener,
    at: SocketAddr,
}

impl Published {
    fn bind(at: SocketAddr) -> Result<Published, Failure> {
        let listener = std::net::TcpListener::bind(at).during(format_args!("--publish {at}"))?;
        let at = listener.local_addr().during("getsockname")?;
        Ok(Published { listener, at })
    }

    /// Joins each connection with one to `port` of the stack, over its own `lo`, and tells why that ended.
    fn start(self, host: &Host, port: u16, tell: mpsc::Sender<(String, io::Error)>) -> Result<(), Failure> {
        let host = host.clone();
        let server = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        let publishing = move || {
            let Published { listener, at } = self;
            let ended = splice::each(listener, move || TcpStream::connect_timeout(&host, &server, PATIENCE));
            let _ = tell.send((format!("accept at {at}"), ended));
        };
        thread::Builder::new().name("publish".to_owned()).spawn(publishing).during("publish").map(drop)
    }
}

fn tell_how_to_reach(attached: &Attached, port: u16, is_published: bool) {
    let Some(address) = attached.ours.iter().next() else { return };
    let url = match port {
        80 => format!("http://{address}/"),
        port => format!("http://{}/", SocketAddr::new(address, port)),
    };
    match &attached.peer {
        Peer::Kernel(namespace, _) => {
            let pid = namespace.helper_pid();
            println!(
                "  {:<12} nsenter --target {pid} --user --net --preserve-credentials curl {url}",
                "reach it by"
            );
        }
        Peer::Outside => println!("  {:<12} {url}", "reach it by"),
        Peer::Host(..) if is_published => {}
        Peer::Host(..) => {
            let hint = "nobody but this process: add --publish 127.0.0.1:8080";
            println!("  {:<12} {}", "reached by", style(hint).yellow());
        }
    }
}
