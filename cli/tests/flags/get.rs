//! `tapsock get` with curl's options, its variables and its exit status.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::common::{Beside, Scratch, run, stderr, stdout, tapsock};
use crate::{closed, code};

/// What the server has.
const DOCUMENT: &str = "0123456789";

/// A server that gives the first `failures` requests a 503, and else what `answer` makes of head and body.
fn server(failures: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut from = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while from.read_line(&mut head).is_ok_and(|len| len > 2) {}
            let body = body(&head, &mut from);
            let text = match number < failures {
                true => "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy".to_owned(),
                false => answer(&head, &body),
            };
            let _ = from.get_mut().write_all(text.as_bytes());
        }
    });
    format!("http://{address}")
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

fn body(head: &str, from: &mut impl BufRead) -> String {
    if field(head, "Transfer-Encoding").is_some() {
        let (mut body, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            from.read_line(&mut line).unwrap();
            let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap() + 2];
            from.read_exact(&mut chunk).unwrap();
            if chunk.len() == 2 {
                return body;
            }
            body += std::str::from_utf8(&chunk[..chunk.len() - 2]).unwrap();
        }
    }
    let len = field(head, "Content-Length").map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    from.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn answer(head: &str, body: &str) -> String {
    let whole = |text: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: {}\r\n\r\n{text}", text.len())
    };
    let path = head.split(' ').nth(1).unwrap();
    match path {
        "/ranges" => match field(head, "Range").and_then(|range| range.strip_prefix("bytes=")) {
            None => whole(DOCUMENT),
            Some(range) => {
                let (first, last) = range.split_once('-').unwrap();
                let first = first.parse::<usize>().unwrap();
                let last = last.parse().unwrap_or(DOCUMENT.len() - 1).min(DOCUMENT.len() - 1);
                if first >= DOCUMENT.len() {
                    return "HTTP/1.1 416 No\r\nContent-Length: 2\r\n\r\nno".to_owned();
                }
                let part = &DOCUMENT[first..=last];
                format!("HTTP/1.1 206 Part\r\nContent-Length: {}\r\n\r\n{part}", part.len())
            }
        },
        "/whole" => whole(DOCUMENT),
        "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123".to_owned(),
        "/nothing" => String::new(),
        "/missing" => "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        "/302" | "/307" => {
            format!("HTTP/1.1 {} Moved\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n", &path[1..])
        }
        _ => whole(&format!("{head}{body}")),
    }
}

/// What the server got.
fn got(args: &[&str]) -> String {
    let output = run(&[&["get", "-sS"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_request_is_made_as_it_is_told() {
    let url = server(0);
    let text = got(&["-X", "PATCH", "-u", "me:pw", "-A", "agent", "-e", "http://from/", "-r", "0-5", &url]);
    for line in [
        "PATCH / HTTP/1.1\r\n",
        "\r\nAuthorization: Basic bWU6cHc=\r\n",
        "\r\nUser-Agent: agent\r\n",
        "\r\nReferer: http://from/\r\n",
        "\r\nRange: bytes=0-5\r\n",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let text = got(&["-k", &url.replace("http://", "http://me:pw@"), "-H", "User-Agent: mine"]);
    assert!(
        text.contains("\r\nAuthorization: Basic bWU6cHc=\r\nUser-Agent: mine\r\n")
            || text.contains("User-Agent: mine\r\nAuthorization: Basic bWU6cHc=\r\n"),
        "{text}"
    );
    let text = got(&[
        "--resolve",
        "nosuch.invalid:81:127.0.0.2",
        "--resolve",
        &format!("nosuch.invalid:{}:127.0.0.1", url.rsplit(':').next().unwrap()),
        &url.replace("127.0.0.1", "nosuch.invalid"),
    ]);
    assert!(text.contains("\r\nHost: nosuch.invalid:"), "{text}");
}

#[test]
fn data_is_sent_along() {
    let (url, scratch) = (server(0), Scratch::new());
    let file = scratch.text("file");
    fs::write(&file, "a\r\nb\n").unwrap();
    let text = got(&["-d", "x=1", "-d", &format!("@{file}"), &url]);
    assert!(text.starts_with("POST / ") && text.ends_with("\r\n\r\nx=1&ab"), "{text}");
    assert!(text.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"), "{text}");
    let text = got(&["--data-binary", &format!("@{file}"), "-H", "Content-Type: text/x", &url]);
    assert!(text.ends_with("\r\n\r\na\r\nb\n") && text.contains("\r\nContent-Type: text/x\r\n"), "{text}");
    assert!(got(&["-G", "-d", "q=1", &format!("{url}/p?a")]).starts_with("GET /p?a&q=1 "));
    let text = got(&["-T", &file, &format!("{url}/up/")]);
    assert!(text.starts_with("PUT /up/file ") && text.ends_with("\r\n\r\na\r\nb\n"), "{text}");

    let mut upload = tapsock(&["get", "-sS", "-T", "-", &url]);
    let mut upload = upload.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    upload.stdin.take().unwrap().write_all(&[b'x'; 100_000]).unwrap();
    let text = stdout(&upload.wait_with_output().unwrap());
    assert!(text.contains("\r\nTransfer-Encoding: chunked\r\n") && text.ends_with(&"x".repeat(100_000)));
    assert_eq!(code(&run(&["get", "-d", "@/nosuch", &url])), Some(26));
    // RFC 9110 §15.4: a POST becomes a GET, or stays what it is.
    assert!(got(&["-L", "-d", "x", &format!("{url}/302")]).starts_with("GET /moved "));
    assert!(got(&["-L", "-d", "x", &format!("{url}/307")]).starts_with("POST /moved "));
}

#[test]
fn variables_tell_of_a_transfer() {
    let url = server(0);
    let whole = format!("{url}/whole");
    let port = url.rsplit(':').next().unwrap();
    let format = "|%{http_code} %{response_code} %{size_download} %{url_effective} %{remote_ip} %{remote_port} \
                  %{local_ip} %{num_redirects} %{content_type}\\t%{time_total} %{exitcode}\\n";
    let text = got(&["-w", format, &whole]);
    let start = format!("{DOCUMENT}|200 200 10 {whole} 127.0.0.1 {port} 127.0.0.1 0 text/x\t0.");
    assert!(text.starts_with(&start) && text.ends_with(" 0\n"), "{text}");
    let moved = format!("{url}/302");
    let text = got(&["-o", "/dev/null", "-w", "%{num_redirects} %{redirect_url}\\n", &moved]);
    assert_eq!(text, format!("0 {url}/moved\n"));
    assert_eq!(got(&["-L", "-o", "/dev/null", "-w", "%{num_redirects}", &moved]), "1");
    let (_socket, port) = closed();
    let refused = run(&["get", "-s", "-w", "%{http_code} %{exitcode}", &format!("http://127.0.0.1:{port}/")]);
    assert_eq!((stdout(&refused).as_str(), code(&refused)), ("000 7", Some(7)));
    let object: Value = serde_json::from_str(&got(&["-o", "/dev/null", "-w", "%{json}", &whole])).unwrap();
    assert_eq!((&object["http_code"], &object["size_download"]), (&200.into(), &10.into()));
    assert!(object["time_starttransfer"].as_f64() >= object["time_connect"].as_f64(), "{object}");
}

#[test]
fn several_documents_go_where_they_are_told_to() {
    let (url, scratch) = (server(0), Scratch::new());
    let (one, whole, missing) = (scratch.text("one"), format!("{url}/whole"), format!("{url}/missing"));
    let mut command = tapsock(&["get", "-s", "-f", "-o", &one, "-O", &whole, &whole, &missing, &whole]);
    let output = command.current_dir(scratch.path("")).output().unwrap();
    // The third failed; the status is the last one's.
    assert_eq!((stdout(&output).as_str(), code(&output)), (DOCUMENT, Some(0)), "{}", stderr(&output));
    for name in ["one", "whole"] {
        assert_eq!(fs::read_to_string(scratch.path(name)).unwrap(), DOCUMENT, "{name}");
    }
    assert_eq!(code(&run(&["get", "-sf", &whole, &missing])), Some(22));
}

#[test]
fn a_document_is_taken_up_where_it_ended() {
    let (url, scratch) = (server(0), Scratch::new());
    let (file, ranges) = (scratch.text("file"), format!("{url}/ranges"));
    let content = || fs::read_to_string(&file).unwrap();
    fs::write(&file, "0123").unwrap();
    got(&["-C", "-", "-o", &file, &ranges]);
    assert_eq!(content(), DOCUMENT);
    got(&["-C", "-", "-o", &file, &ranges]);
    assert_eq!(content(), DOCUMENT, "it was whole");
    assert_eq!(got(&["-C", "7", &ranges]), "789");
    assert_eq!(got(&["-r", "2-3", &ranges]), "23");
    fs::write(&file, "0123").unwrap();
    let whole = run(&["get", "-C", "-", "-o", &file, &format!("{url}/whole")]);
    assert_eq!((code(&whole), content().as_str()), (Some(33), "0123"));
}

#[test]
fn the_status_tells_what_failed() {
    let url = server(0);
    for (path, status) in [("/short", 18), ("/nothing", 52), ("/302", 0), ("/missing", 0)] {
        let output = run(&["get", "-s", &format!("{url}{path}")]);
        assert_eq!(code(&output), Some(status), "{path}: {}", stderr(&output));
    }
    for (text, status) in [
        ("https://127.0.0.1/", 1),
        ("ftp://127.0.0.1/", 1),
        ("http://", 3),
        ("http://h:99999/", 3),
        ("http://nosuch.invalid/", 6),
    ] {
        assert_eq!(code(&run(&["get", text])), Some(status), "{text}");
    }
    assert_eq!(code(&run(&["get", "-L", "--max-redirs", "0", &format!("{url}/302")])), Some(47));
    assert_eq!(code(&run(&["get", "-O", &url])), Some(23));
    assert_eq!(code(&run(&["get"])), Some(2));
}

#[test]
fn what_may_pass_is_tried_again() {
    let retry = ["get", "-sS", "--retry", "2", "--retry-delay", "0.05", "-o", "/dev/stdout"];
    let twice = run(&[&retry[..], &[&server(2)]].concat());
    assert!(stdout(&twice).ends_with("Connection: close\r\n\r\n"), "{}", stdout(&twice));
    let url = server(9);
    let never = run(&["get", "-fsS", "--retry", "1", "--retry-delay", "0.05", &url]);
    assert_eq!(code(&never), Some(22));
    assert!(stderr(&never).contains("status 503"), "{}", stderr(&never));
}

#[test]
fn what_serve_serves_is_had_in_parts() {
    let scratch = Scratch::new();
    fs::write(scratch.path("file"), DOCUMENT).unwrap();
    let mut server =
        Beside::start(&["serve", &scratch.text(""), "--link", "memory", "--publish", "127.0.0.1:0"]);
    let url = format!("http://{}file", server.word_after("http://"));
    assert_eq!(got(&["-r", "2-4", &url]), "234");
    assert_eq!(got(&["-r", "-3", &url]), "789");
    let format = "%{http_code} %header{content-range}";
    assert_eq!(got(&["-o", "/dev/null", "-w", format, "-r", "99-", &url]), "416 bytes */10");
    let part = scratch.text("part");
    fs::write(&part, "0123").unwrap();
    got(&["-C", "-", "-o", &part, &url]);
    assert_eq!(fs::read_to_string(part).unwrap(), DOCUMENT);
}
