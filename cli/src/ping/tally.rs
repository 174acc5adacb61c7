//! What has been sent and answered.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::icmp::{Answer, Trouble};

/// Requests whose time of sending is kept.
const MAX_OUTSTANDING: usize = 1024;

/// The count of one run.
pub struct Tally {
    to: String,
    /// Answers that are to come before a deadline.
    goal: Option<u64>,
    floods: bool,
    begin: Instant,
    requests: u64,
    /// Those without an answer yet, the oldest first.
    waiting: Vec<(u16, Instant)>,
    answers: u64,
    duplicates: u64,
    errors: u64,
    /// The most requests that were on their way at once.
    pipe: u16,
    times: Times,
}

/// Round trips, in milliseconds.
#[derive(Default)]
struct Times {
    min: f64,
    max: f64,
    sum: f64,
    sum_of_squares: f64,
    /// An average in which the latest counts for an eighth.
    smoothed: f64,
}

impl Tally {
    /// Nothing yet.
    pub fn new(to: &str, goal: Option<u64>, floods: bool) -> Self {
        Tally {
            to: to.to_owned(),
            goal,
            floods,
            begin: Instant::now(),
            requests: 0,
            waiting: Vec::new(),
            answers: 0,
            duplicates: 0,
            errors: 0,
            pipe: 0,
            times: Times::default(),
        }
    }

    /// A request is about to be sent.
    pub fn sent(&mut self, sequence: u16) {
        self.requests += 1;
        if self.waiting.len() == MAX_OUTSTANDING {
            self.waiting.remove(0);
        }
        self.waiting.push((sequence, Instant::now()));
    }

    /// It could not be, so that no answer will come.
    pub fn unsent(&mut self, sequence: u16) {
        self.waiting.retain(|(waiting, _)| *waiting != sequence);
    }

    /// Requests that an answer may still come to.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// The last request, where no answer has come to it.
    pub fn last_outstanding(&self) -> Option<u16> {
        let last = self.requests as u16;
        self.waiting
            .last()
            .map(|(sequence, _)| *sequence)
            .filter(|sequence| *sequence == last && self.requests > 0)
    }

    /// Whether as many were answered as were to be, well or by an error. Before a deadline, the first error will do.
    pub fn is_done(&self, count: Option<u64>, by_deadline: bool) -> bool {
        count.is_some_and(|count| self.answers + self.errors >= count) || by_deadline && self.errors > 0
    }

    /// The longest round trip.
    pub fn longest(&self) -> Option<Duration> {
        (self.answers > 0).then(|| Duration::from_secs_f64(self.times.max / 1e3))
    }

    /// The line for an answer.
    pub fn answered(&mut self, answer: &Answer) -> String {
        let Answer { sequence, len, from, ttl, intact } = answer;
        self.heard_of(*sequence);
        let ttl = ttl.map_or_else(String::new, |ttl| format!(" ttl={ttl}"));
        let Some(index) = self.waiting.iter().rposition(|(waiting, _)| waiting == sequence) else {
            self.duplicates += 1;
            return format!("{len} bytes from {from}: icmp_seq={sequence}{ttl} (DUP!)");
        };
        let (_, sent) = self.waiting.remove(index);
        let time = sent.elapsed().as_secs_f64() * 1e3;
        self.times.add(time, self.answers);
        self.answers += 1;
        let spoilt = if *intact { "" } else { " (wrong data!)" };
        format!("{len} bytes from {from}: icmp_seq={sequence}{ttl} time={} ms{spoilt}", digits(time))
    }

    /// The line for an error that came back.
    pub fn complained(&mut self, trouble: &Trouble) -> String {
        self.errors += 1;
        if let Some(sequence) = trouble.sequence {
            self.heard_of(sequence);
            self.waiting.retain(|(waiting, _)| *waiting != sequence);
        }
        trouble.to_string()
    }

    /// The line for an error of the socket. It does not tell of which request, so it is taken for the oldest's.
    pub fn failed(&mut self, error: &io::Error) -> String {
        self.errors += 1;
        match self.waiting.first() {
            Some(&(sequence, _)) => {
                self.waiting.remove(0);
                format!("icmp_seq={sequence} {error}")
            }
            None => format!("ping: {error}"),
        }
    }

    fn heard_of(&mut self, sequence: u16) {
        let since = (self.requests as u16).wrapping_sub(sequence);
        // Larger is no request of late.
        if since < 0x8000 {
            self.pipe = self.pipe.max(since + 1);
        }
    }

    /// How it stands, in a line: what SIGQUIT asks for.
    pub fn standing(&self) -> String {
        let Tally { requests, answers, times, .. } = self;
        let lost = 100 - 100 * answers.min(requests) / (*requests).max(1);
        let mut text = format!("{answers}/{requests} packets, {lost}% loss");
        if *answers > 0 {
            let mean = times.sum / *answers as f64;
            let Times { min, max, smoothed, .. } = times;
            text += &format!(", min/avg/ewma/max = {min:.3}/{mean:.3}/{smoothed:.3}/{max:.3} ms");
        }
        text
    }

    /// Prints the summary; the status of the command.
    pub fn finish(&self) -> ExitCode {
        println!("\n{}", self.summary(self.begin.elapsed()));
        if self.answers > 0 && self.goal.is_none_or(|goal| self.answers >= goal) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn summary(&self, took: Duration) -> String {
        let Tally { to, requests, answers, duplicates, errors, .. } = self;
        let mut text =
            format!("--- {to} ping statistics ---\n{requests} packets transmitted, {answers} received");
        if *duplicates > 0 {
            text += &format!(", +{duplicates} duplicates");
        }
        if *errors > 0 {
            text += &format!(", +{errors} errors");
        }
        let lost = 100.0 * (1.0 - *answers as f64 / (*requests).max(1) as f64);
        text += &format!(", {}% packet loss, time {}ms\n", percent(lost), took.as_millis());
        let mut figures = Vec::new();
        if *answers > 0 {
            figures.push(self.times.line(*answers));
        }
        if self.pipe > 1 {
            figures.push(format!("pipe {}", self.pipe));
        }
        if self.floods && *answers > 0 && *requests > 1 {
            let gap = took.as_secs_f64() * 1e3 / (*requests - 1) as f64;
            figures.push(format!("ipg/ewma {gap:.3}/{:.3} ms", self.times.smoothed));
        }
        text += &figures.join(", ");
        text
    }
}

impl Times {
    /// One more, after `before` others.
    fn add(&mut self, time: f64, before: u64) {
        self.min = if before == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.sum += time;
        self.sum_of_squares += time * time;
        self.smoothed += if before == 0 { time } else { (time - self.smoothed) / 8.0 };
    }

    fn line(&self, count: u64) -> String {
        let count = count as f64;
        let mean = self.sum / count;
        let deviation = (self.sum_of_squares / count - mean * mean).max(0.0).sqrt();
        format!("rtt min/avg/max/mdev = {:.3}/{mean:.3}/{:.3}/{deviation:.3} ms", self.min, self.max)
    }
}

/// Milliseconds with as many digits as are of interest.
fn digits(time: f64) -> String {
    match time {
        time if time >= 99.95 => format!("{time:.0}"),
        time if time >= 9.995 => format!("{time:.1}"),
        time if time >= 0.9995 => format!("{time:.2}"),
        time => format!("{time:.3}"),
    }
}

/// A percentage with six significant digits, as ping writes it: 33.3333, 0, 100.
fn percent(value: f64) -> String {
    let decimals = if value >= 10.0 { 4 } else { 5 };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn tally() -> Tally {
        Tally::new("10.7.0.1", None, false)
    }

    fn answer(sequence: u16) -> Answer {
        let from: IpAddr = "10.7.0.1".parse().unwrap();
        Answer { sequence, len: 64, from, ttl: Some(63), intact: true }
    }

    #[test]
    fn an_answer_counts_once() {
        let mut tally = tally();
        tally.sent(1);
        tally.sent(2);
        assert!(tally.answered(&answer(2)).starts_with("64 bytes from 10.7.0.1: icmp_seq=2 ttl=63 time="));
        assert!(tally.answered(&answer(2)).ends_with("(DUP!)"));
        assert_eq!((tally.answers, tally.duplicates, tally.outstanding()), (1, 1, 1));
    }

    #[test]
    fn an_error_is_of_a_request_without_an_answer() {
        let mut tally = tally();
        let error = || io::Error::from_raw_os_error(113);
        for sequence in 1..=3 {
            tally.sent(sequence);
        }
        tally.answered(&answer(1));
        assert!(tally.failed(&error()).starts_with("icmp_seq=2 No route to host"));
        tally.answered(&answer(3));
        assert!(tally.failed(&error()).starts_with("ping: No route to host"), "all are answered");
        let summary = tally.summary(Duration::from_millis(2003));
        assert!(
            summary.contains(
                "3 packets transmitted, 2 received, +2 errors, 33.3333% packet loss, time 2003ms\n"
            ),
            "{summary}"
        );
    }

    #[test]
    fn a_complaint_is_of_its_request() {
        let mut tally = tally();
        (1..=3).for_each(|sequence| tally.sent(sequence));
        assert_eq!(
            (tally.last_outstanding(), tally.standing().as_str()),
            (Some(3), "0/3 packets, 100% loss")
        );
        let trouble =
            Trouble { sequence: Some(3), from: "10.7.0.2".parse().ok(), what: "Packet filtered".to_owned() };
        assert_eq!(tally.complained(&trouble), "From 10.7.0.2 icmp_seq=3 Packet filtered");
        assert_eq!((tally.outstanding(), tally.last_outstanding()), (2, None));
        tally.answered(&answer(1));
        let summary = tally.summary(Duration::ZERO);
        assert!(summary.contains("+1 errors") && summary.ends_with(" ms, pipe 3"), "{summary}");
    }

    #[test]
    fn a_run_is_done_by_count_or_error() {
        let mut tally = tally();
        tally.sent(1);
        assert!(!tally.is_done(Some(1), false));
        tally.failed(&io::Error::from_raw_os_error(113));
        assert!(tally.is_done(Some(1), false) && tally.is_done(None, true) && !tally.is_done(None, false));
        assert_eq!(tally.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_deadline_wants_all_answers() {
        let mut tally = Tally { goal: Some(2), ..tally() };
        tally.sent(1);
        tally.answered(&answer(1));
        assert_eq!(tally.finish(), ExitCode::FAILURE);
        assert_eq!(Tally { goal: None, ..tally }.finish(), ExitCode::SUCCESS);
    }

    #[test]
    fn figures_look_like_pings() {
        assert_eq!([0.0314, 1.234, 12.34, 123.4].map(digits), ["0.031", "1.23", "12.3", "123"]);
        assert_eq!([0.0, 100.0, 100.0 / 3.0, 2.5].map(percent), ["0", "100", "33.3333", "2.5"]);
        let mut times = Times::default();
        for (before, time) in [1.0, 3.0].into_iter().enumerate() {
            times.add(time, before as u64);
        }
        assert_eq!(times.line(2), "rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms");
        assert_eq!(times.smoothed, 1.25);
    }
}
