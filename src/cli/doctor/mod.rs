//! `partner doctor`: what answers here, and what is in its way.

mod agent;
mod here;

use std::net::SocketAddr;

use serde::Serialize;

use super::arguments::Doctor;
use super::output::{Output, Style};
use super::{Failed, Status};
use crate::error::Error;
use crate::info::PartnerRequest;
use crate::stack::{Stack, StackBuilder};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// It works, and less than it could; or it was not looked at.
    Warn,
    Fail,
}

/// What was looked at, how it is, and what to do about it.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    result: Health,
    what: String,
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, what: impl ToString) -> Self {
        Self { name, result: Health::Ok, what: what.to_string(), remedy: None }
    }

    fn warn(name: &'static str, what: impl ToString, remedy: impl ToString) -> Self {
        let remedy = Some(remedy.to_string());
        Self { name, result: Health::Warn, what: what.to_string(), remedy }
    }

    /// `remedy` is empty where `what` says what to do.
    fn fail(name: &'static str, what: impl ToString, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty());
        Self { name, result: Health::Fail, what: what.to_string(), remedy }
    }
}

#[derive(Serialize)]
struct Form<'a> {
    version: u32,
    checks: &'a [Check],
}

pub(super) fn run(doctor: &Doctor, output: &Output) -> Result<Status, Failed> {
    let programs = Stack::builder().build();
    let mut checks = here::look(&programs);
    checks.extend(agent::look(doctor, &programs));
    if doctor.format.json {
        output.json(&Form { version: 1, checks: &checks })?;
    } else {
        output.text(&text(&checks, output))?;
    }
    let failed = checks.iter().any(|check| check.result == Health::Fail);
    Ok(if failed { Status::No } else { Status::Done })
}

fn text(checks: &[Check], output: &Output) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, result, what, remedy } in checks {
        let word = match result {
            Health::Ok => output.styled(Style::Good, "ok  "),
            Health::Warn => output.styled(Style::Alert, "warn"),
            Health::Fail => output.styled(Style::Bad, "FAIL"),
        };
        text += &format!("{word}  {name:width$}  {what}\n");
        if let Some(remedy) = remedy {
            text += &format!("      {:width$}  -> {remedy}\n", "");
        }
    }
    text
}

/// Asks about a connection of this program's with itself, as a program would ask.
fn ask(stack: StackBuilder, request: PartnerRequest) -> Result<crate::info::PartnerInfo, Error> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
    let io = |doing| {
        move |error: std::io::Error| Error::io(doing, error.raw_os_error().unwrap_or(libc::EIO))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(io("make a runtime"))?.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener =
            tokio::net::TcpListener::bind(any).await.map_err(io("listen on loopback"))?;
        let at = listener.local_addr().map_err(io("ask for an address"))?;
        let connect = tokio::net::TcpStream::connect(at);
        let near = connect.await.map_err(io("connect over loopback"))?;
        let (_far, _) = listener.accept().await.map_err(io("accept over loopback"))?;
        stack.build().get_partner_info(&near, request, PATIENCE).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_how_it_is_and_what_to_do() {
        let checks = [
            Check::ok("kernel", "names partners"),
            Check::warn("agent", "none", "start partnerd"),
            Check::fail("policy", "line 3 is wrong", ""),
        ];
        let expected = "\
ok    kernel  names partners
warn  agent   none
              -> start partnerd
FAIL  policy  line 3 is wrong
";
        assert_eq!(text(&checks, &Output::plain()), expected);
        let json = serde_json::to_string(&Form { version: 1, checks: &checks[1..] }).unwrap();
        let expected = r#"{"version":1,"checks":[{"name":"agent","result":"warn","what":"none","remedy":"start partnerd"},{"name":"policy","result":"fail","what":"line 3 is wrong","remedy":null}]}"#;
        assert_eq!(json, expected);
    }
}
