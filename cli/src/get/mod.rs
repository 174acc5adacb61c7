//! `tapsock get`: documents by HTTP, with the options and the exit status of curl(1).

use std::io::ErrorKind;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use rustix::io::Errno;

use crate::attach::Tell;
use crate::failure::Failure;
use crate::http::{Ask, Field, Url};
use crate::reach::Reach;
use destination::Target;
use facts::Facts;
use retry::Ending;
use transfer::Transfer;

pub use options::Options;

mod base64;
mod content;
mod destination;
mod facts;
mod options;
mod retry;
mod status;
mod timed;
mod transfer;
mod write_out;

/// Fetches them one after the other. The status is the last one's, as curl's: 0 whatever the server's status is, 22
/// where that counts and is 400 or above.
///
/// # Errors
/// Where nothing can be begun.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let prepared = match prepare(options) {
        Err(failure) if !options.tells_errors() => return Ok(ExitCode::from(failure.status())),
        prepared => prepared?,
    };
    let mut last = 0;
    for (number, text) in options.urls.iter().enumerate() {
        let mut facts = Facts { number, url: text.clone(), effective: text.clone(), ..Facts::default() };
        let done = fetch(options, &prepared, text, &mut facts);
        if let Err(failure) = &done {
            (facts.exit, facts.error) = (failure.status(), Some(failure.reason().to_owned()));
            if options.tells_errors() {
                crate::complain(failure);
            }
        }
        last = facts.exit;
        let written = options.write_out.as_ref().map_or(Ok(()), |format| format.print(&facts));
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                return Err(Failure::new(format!("-w: {error}")).with_status(status::NOT_WRITTEN));
            }
            _ => {}
        }
    }
    Ok(ExitCode::from(last))
}

/// What all documents have in common.
struct Prepared {
    reach: Reach,
    ask: Ask,
    query: Option<String>,
}

fn prepare(options: &Options) -> Result<Prepared, Failure> {
    let mut fields = options.header.clone();
    let mut add = |field: Field| {
        // What is said by -H is said last.
        if !fields.iter().any(|own| own.is(field.name())) {
            fields.push(field);
        }
    };
    options.user_agent.iter().chain(&options.referer).chain(&options.range).cloned().for_each(&mut add);
    if options.data.is_json() {
        for (name, value) in [("Content-Type", "application/json"), ("Accept", "application/json")] {
            Field::with_value(name, value).into_iter().for_each(&mut add);
        }
    }
    let ask = Ask {
        method: options.request.clone(),
        head_only: options.head,
        fields,
        content: options.data.content()?,
    };
    let query = options.data.query()?;
    let reach = Reach::open(&options.attach, Tell::unless(options.silent))?;
    Ok(Prepared { reach, ask, query })
}

/// Fetches one, and tries again where that is wanted.
fn fetch(options: &Options, prepared: &Prepared, text: &str, facts: &mut Facts) -> Result<(), Failure> {
    let mut url = text
        .parse::<Url>()
        .map_err(|error| Failure::new(format!("{text}: {error}")).with_status(status::of_url(&error)))?;
    let mut ask = prepared.ask.clone();
    if let Some(file) = options.upload_file.get(facts.number) {
        let (content, named) = content::upload(file, &url)?;
        (ask.content, url) = (Some(content), named);
    }
    if let Some(query) = &prepared.query {
        url = url.with_query(query);
    }
    authorize(options, &mut ask, &url)?;
    let mut target = options.destinations.target(facts.number, &url)?;
    facts.file = target.path().map(|path| path.to_string_lossy().into_owned());
    let mut tries = options.retry.tries();
    loop {
        let (done, ending) = once(options, prepared, &url, &ask, &mut target, facts);
        let Some(wait) = tries.next(ending) else { return done };
        if !options.silent {
            let what = done
                .err()
                .map_or_else(|| format!("status {}", ending.http), |failure| failure.reason().to_owned());
            eprintln!("tapsock: {what}; next try in {} s", wait.as_secs_f64());
        }
        #[expect(clippy::disallowed_methods, reason = "--retry-delay asks for it")]
        thread::sleep(wait);
        target.restart();
    }
}

/// One try.
fn once(
    options: &Options,
    prepared: &Prepared,
    url: &Url,
    ask: &Ask,
    target: &mut Target,
    facts: &mut Facts,
) -> (Result<(), Failure>, Ending) {
    let begin = Instant::now();
    *facts = Facts {
        number: facts.number,
        url: facts.url.clone(),
        effective: url.to_string(),
        file: facts.file.take(),
        ..Facts::default()
    };
    let mut ask = ask.clone();
    let resumed = options.continue_at.map(|resume| target.resume(resume)).filter(|offset| *offset > 0);
    if let Some(offset) = resumed {
        ask.fields.extend(Field::with_value("Range", &format!("bytes={offset}-")));
    }
    let transfer = Transfer { options, reach: &prepared.reach, limits: options.limits(), begin };
    let done = transfer.run(url.clone(), ask, resumed, target, facts);
    facts.total = begin.elapsed();
    let ending = Ending {
        exit: done.as_ref().err().map_or(0, Failure::status),
        http: facts.status,
        refused: done.as_ref().is_err_and(|failure| failure.is(Errno::CONNREFUSED)),
    };
    (done, ending)
}

/// Adds name and password, from -u or from the URL.
fn authorize(options: &Options, ask: &mut Ask, url: &Url) -> Result<(), Failure> {
    let Some(user) = options.user.as_deref().or(url.user()) else { return Ok(()) };
    let field = Field::with_value("Authorization", &format!("Basic {}", base64::encode(user.as_bytes())));
    if !ask.fields.iter().any(|own| own.is("Authorization")) {
        ask.fields.push(field.map_err(Failure::new)?);
    }
    Ok(())
}
