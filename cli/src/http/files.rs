//! The files of a directory as a site.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustix::io::Errno;

use super::range::ByteRange;
use super::server::{Body, Request, Response, Site};

/// Entries of a listing at most.
const MAX_LISTED: usize = 10_000;
/// What a link in a listing must not hold as it is.
const IN_LINKS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'\'')
    .add(b'&');

/// The files below a directory. Nothing outside of it is served, whatever the path or a symbolic link says.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The files below `root`.
    ///
    /// # Errors
    /// ENOENT, EACCES; ENOTDIR where it is a file.
    pub fn new(root: &Path) -> io::Result<Self> {
        fs::read_dir(root)?;
        Ok(Directory { root: root.canonicalize()? })
    }

    fn find(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path.trim_start_matches('/'));
        let inside = relative.components().all(|component| matches!(component, Component::Normal(_)));
        let found = self.root.join(relative).canonicalize()?;
        if !inside || !found.starts_with(&self.root) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(found)
    }

    fn document(&self, path: &str, range: Option<ByteRange>) -> io::Result<Response> {
        let mut found = self.find(path)?;
        if found.is_dir() {
            if !path.ends_with('/') {
                let to = utf8_percent_encode(path.trim_start_matches('/'), IN_LINKS);
                return Ok(Response::moved(format!("/{to}/")));
            }
            match self.find(&format!("{path}index.html")) {
                Ok(index) if index.is_file() => found = index,
                _ => return listing(&found, path),
            }
        }
        let mut file = File::open(&found)?;
        let metadata = file.metadata()?;
        // A FIFO or a device would keep the connection waiting.
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (kind, len) = (content_type(&found), metadata.len());
        let document = match range.map(|range| range.within(len)) {
            None => Response::ok(kind, Body::stream(file, len)),
            Some(None) => return Ok(Response::no_part(len)),
            Some(Some(part)) => {
                file.seek(SeekFrom::Start(part.first))?;
                Response::part(kind, Body::stream(file, part.len), part, len)
            }
        };
        Ok(document.modified(metadata.modified().ok()))
    }
}

impl Site for Directory {
    fn answer(&self, request: &Request) -> Response {
        match self.document(&request.path, request.range) {
            Ok(response) => response,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Response::error(403, "Forbidden")
            }
            // There is such a document, and no descriptor for it.
            Err(error) if is_short_of_descriptors(&error) => Response::error(503, "Service Unavailable"),
            Err(_) => Response::not_found(),
        }
    }
}

fn is_short_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn listing(directory: &Path, path: &str) -> io::Result<Response> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)?.take(MAX_LISTED) {
        let entry = entry?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let title = escape(path);
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body><h1>{title}</h1>\n<ul>\n"
    );
    if path != "/" {
        page.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for name in names {
        let link = utf8_percent_encode(&name, IN_LINKS);
        // "./" keeps a name with a colon from being taken for a scheme.
        let _ = writeln!(page, "<li><a href=\"./{link}\">{}</a></li>", escape(&name));
    }
    page.push_str("</ul></body></html>\n");
    Ok(Response::ok("text/html; charset=utf-8", Body::text(page)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "rs" | "toml" | "log" | "sh" | "c" | "h" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes away with the test.
    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn scratch(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("tapsock-files-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("site/sub dir")).unwrap();
        fs::write(path.join("secret"), "secret").unwrap();
        fs::write(path.join("site/a.txt"), "a").unwrap();
        fs::write(path.join("site/sub dir/index.html"), "index").unwrap();
        std::os::unix::fs::symlink("../secret", path.join("site/link")).unwrap();
        Scratch(path)
    }

    fn status(site: &Directory, path: &str) -> u16 {
        site.answer(&Request { path: path.to_owned(), range: None }).status()
    }

    #[test]
    fn files_directories_and_their_index_are_served() {
        let scratch = scratch("served");
        let site = Directory::new(&scratch.0.join("site")).unwrap();
        for (path, expected) in [
            ("/", 200),
            ("/a.txt", 200),
            ("/sub dir", 301),
            ("/sub dir/", 200),
            ("/b.txt", 404),
            ("/a.txt/", 404),
        ] {
            assert_eq!(status(&site, path), expected, "{path}");
        }
        assert!(Directory::new(&scratch.0.join("secret")).is_err());
    }

    #[test]
    fn nothing_outside_is_served() {
        let scratch = scratch("outside");
        let site = Directory::new(&scratch.0.join("site")).unwrap();
        for path in ["/../secret", "/sub dir/../../secret", "/link", "//../secret", "/..", "/a.txt\0"] {
            assert_eq!(status(&site, path), 404, "{path}");
        }
    }
}
