//! Where documents go: to standard output, or to files, which are made when there is something to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::options::Resume;
use super::status;
use crate::failure::Failure;
use crate::http::Url;

/// What the command line says of it: one for each URL, in their order.
#[derive(Clone, Debug, Default)]
pub struct Destinations(Vec<Destination>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Destination {
    /// A file of this name (-o); - is standard output.
    Named(PathBuf),
    /// One of the document's own name (-O).
    RemoteName,
}

impl Destinations {
    /// Where document number `index` goes, which comes from `url`.
    ///
    /// # Errors
    /// Where it has no name of its own. The status is 23.
    pub fn target(&self, index: usize, url: &Url) -> Result<Target, Failure> {
        let path = match self.0.get(index) {
            Some(Destination::Named(path)) if path != Path::new("-") => Some(path.clone()),
            Some(Destination::RemoteName) => {
                let name = url.file_name().filter(|name| *name != "..");
                let name = name.ok_or_else(|| {
                    Failure::new(format!("-O: {url} has no file name"))
                        .hint("Name the file with -o FILE.")
                        .with_status(status::NOT_WRITTEN)
                })?;
                Some(PathBuf::from(name))
            }
            _ => None,
        };
        Ok(Target { path, resumes: false, out: None })
    }
}

/// Where a document goes.
pub struct Target {
    path: Option<PathBuf>,
    /// Whether it goes on where the file ends.
    resumes: bool,
    out: Option<Box<dyn Write>>,
}

impl Target {
    /// The file; none is standard output.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Goes on with a file, and says from which offset of the document.
    pub fn resume(&mut self, resume: Resume) -> u64 {
        self.resumes = true;
        match (resume, &self.path) {
            (Resume::At(offset), _) => offset,
            (Resume::WhereItEnds, Some(path)) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            (Resume::WhereItEnds, None) => 0,
        }
    }

    /// Begins anew, after a document that did not get over.
    pub fn restart(&mut self) {
        self.out = None;
    }

    /// What to write to.
    ///
    /// # Errors
    /// A file that can't be made. The status is 23.
    pub fn open(&mut self) -> Result<&mut Box<dyn Write>, Failure> {
        if self.out.is_none() {
            self.out = Some(match &self.path {
                Some(path) => {
                    let opened = match self.resumes {
                        true => OpenOptions::new().append(true).create(true).open(path),
                        false => File::create(path),
                    };
                    Box::new(opened.map_err(|error| self.failure(error))?)
                }
                None => Box::new(io::stdout().lock()),
            });
        }
        // It has just been made.
        self.out.as_mut().ok_or_else(|| Failure::new("no output"))
    }

    /// Writes.
    ///
    /// # Errors
    /// What writing says. The status is 23.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.open()?.write_all(bytes);
        written.map_err(|error| self.failure(error))
    }

    /// Writing has failed.
    pub fn failure(&self, error: io::Error) -> Failure {
        let name = self.path.as_ref().map_or("standard output".into(), |path| path.to_string_lossy());
        Failure::new(format!("write {name}: {error}")).with_status(status::NOT_WRITTEN)
    }
}

/// clap's derived code would lose the order of both options.
impl Args for Destinations {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("output")
                    .long("output")
                    .short('o')
                    .value_name("FILE")
                    .action(ArgAction::Append)
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("Write the document to this file; - is standard output. One a URL"),
            )
            .arg(
                Arg::new("remote_name")
                    .long("remote-name")
                    .short('O')
                    .action(ArgAction::Append)
                    .num_args(0)
                    .default_missing_value("")
                    .help("Write the document to a file of its own name. One a URL"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Destinations {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let paths = matches.get_many::<PathBuf>("output").into_iter().flatten().cloned();
        let named = places("output").zip(paths.map(Destination::Named));
        let own = places("remote_name").map(|place| (place, Destination::RemoteName));
        let mut all: Vec<_> = named.chain(own).collect();
        all.sort_by_key(|(place, _)| *place);
        Ok(Destinations(all.into_iter().map(|(_, destination)| destination).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_has_its_destination() {
        let command = Destinations::augment_args(Command::new("get").no_binary_name(true));
        let matches = command.try_get_matches_from(["-o", "one", "-O", "-o", "-"]).unwrap();
        let destinations = Destinations::from_arg_matches(&matches).unwrap();
        let url: Url = "http://h/two".parse().unwrap();
        let path = |index| destinations.target(index, &url).unwrap().path;
        assert_eq!(path(0).as_deref(), Some(Path::new("one")));
        assert_eq!(path(1).as_deref(), Some(Path::new("two")));
        assert_eq!((path(2), path(3)), (None, None));
        assert_eq!(destinations.target(1, &"http://h/".parse().unwrap()).err().unwrap().status(), 23);
    }
}
