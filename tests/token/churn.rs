//! A token never mixes the fields of two processes: many lookups while processes start, change and
//! exit, each compared with what the partner says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use partner_info::prelude::*;
use partner_info::token::{Holder, Pid, Uid};
use partner_info::{Error, HolderSearch, Stack};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::actor::ROLE;
use super::partner::{Dice, Tell};
use super::support::{PATIENCE, SOMEBODY, Scratch, accept, get, listener, run, stack, tests};

tests![TESTS: a_token_is_of_one_process];

/// In the environment: how many lookups.
const LOOKUPS: &str = "PARTNER_INFO_LOOKUPS";
const A_FEW: u64 = 3_000;

/// Processes at a time, and connections that each makes if it lives that long.
const PROCESSES: usize = 8;
const CONNECTIONS: u64 = 60;
/// Lookups at a time.
const AT_ONCE: usize = 6;

/// What became of the lookups.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

fn a_token_is_of_one_process() {
    let lookups = std::env::var(LOOKUPS).map_or(A_FEW, |text| text.parse().unwrap());
    let scratch = Scratch::new("churn");
    // Where every user may run them.
    let this = std::env::current_exe().unwrap();
    let programs = ["one-program", "other-program"].map(|name| scratch.copy(&this, name, 0o755));
    let (started, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let tally = std::thread::scope(|scope| {
        let _stop = SetWhenDropped(&stop);
        run(async {
            let listener = listener().await;
            let address = listener.local_addr().unwrap().to_string();
            let (programs, stop, started) = (&programs, &stop, &started);
            scope.spawn(move || keep_starting(&address, programs, stop, started));
            serve(listener, lookups).await
        })
    });
    println!(
        "{lookups} lookups in {:.0} s, {} processes started, {} wrong",
        begun.elapsed().as_secs_f64(),
        started.into_inner(),
        tally.wrong.len()
    );
    for (what, count) in &tally.counts {
        println!("  {count:>7} {what}");
    }
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert!(tally.of("answered, with a holder") > lookups / 2, "most are answered");
    assert!(tally.of("partner changed while it was asked about") > lookups / 100, "some change");
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has so many partners live at any time.
fn keep_starting(
    server: &str,
    [program, other]: &[PathBuf; 2],
    stop: &AtomicBool,
    started: &AtomicU64,
) {
    let other = other.display();
    let mut alive: Vec<Child> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        alive.retain_mut(|child| child.try_wait().unwrap().is_none());
        while alive.len() < PROCESSES {
            let number = started.fetch_add(1, Ordering::Relaxed);
            let mut command = Command::new(program);
            command.env(ROLE, format!("partner {server} {other} {CONNECTIONS}"));
            command.stdin(Stdio::null());
            // Every fourth stays root, and may become another user while it is asked about.
            if rustix::process::geteuid().is_root() && !number.is_multiple_of(4) {
                let user = SOMEBODY + 1 + u32::try_from(number % 5).unwrap();
                std::os::unix::process::CommandExt::uid(&mut command, user);
            }
            alive.push(command.spawn().unwrap());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    for child in &mut alive {
        let _ = child.kill();
        let _ = child.wait();
    }
}

async fn serve(listener: TcpListener, lookups: u64) -> Tally {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let stacks = [stack(HolderSearch::All), stack(HolderSearch::First)];
    let mut under_way = JoinSet::new();
    let mut begun = 0;
    let mut done = 0;
    while done < lookups {
        if under_way.len() < AT_ONCE && begun < lookups {
            let stream = accept(&listener).await;
            let stack = stacks[usize::from(begun.is_multiple_of(2))].clone();
            under_way.spawn(look_up(stream, stack, begun, Arc::clone(&tally)));
            begun += 1;
        } else if let Some(ended) = under_way.join_next().await {
            done += 1;
            if !ended.unwrap() {
                // Gone before it said anything: another one instead.
                (begun, done) = (begun - 1, done - 1);
            }
        }
        while let Some(ended) = under_way.try_join_next() {
            done += 1;
            if !ended.unwrap() {
                (begun, done) = (begun - 1, done - 1);
            }
        }
    }
    Arc::into_inner(tally).unwrap().into_inner().unwrap()
}

/// One lookup, at a moment that the partner does not know; `false` if the partner said nothing.
async fn look_up(stream: TcpStream, stack: Stack, number: u64, tally: Arc<Mutex<Tally>>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut told = Vec::new();
    if !listen(&mut reader, &mut told, 1).await {
        return false;
    }
    for _ in 0..Dice::new(number).below(30) {
        tokio::task::yield_now().await;
    }
    let answer = get(&stack, reader.get_ref()).await;
    listen(&mut reader, &mut told, usize::MAX).await;
    // A reset leaves no TIME_WAIT behind: ports would run out.
    let _ = reader.get_ref().set_zero_linger();
    compare(&answer, &told, &mut tally.lock().unwrap());
    true
}

/// Hears so many lines at most; whether there was one.
async fn listen(reader: &mut BufReader<TcpStream>, told: &mut Vec<Tell>, most: usize) -> bool {
    for _ in 0..most {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
        match read.expect("the partner hangs") {
            Ok(_) if line == "end\n" => break,
            Ok(_) if line.ends_with('\n') => told.push(Tell::parse(line.trim_end_matches('\n'))),
            Ok(_) | Err(_) => break,
        }
    }
    !told.is_empty()
}

fn compare(answer: &Result<PartnerInfo, Error>, told: &[Tell], tally: &mut Tally) {
    if told.len() > 1 {
        tally.count("partner changed while it was asked about");
    }
    if told.windows(2).any(|two| two[0].executable != two[1].executable) {
        tally.count("partner ran another program while it was asked about");
    }
    let info = match answer {
        Ok(info) => info,
        Err(error) => {
            let reason =
                error.reason().map_or_else(|| error.kind().to_string(), |it| it.to_string());
            return tally.count(format!("refused: {reason}"));
        }
    };
    let token = info.token().unwrap();
    let wrong = |what: &str| format!("{what}: {token}, told {told:#?}");
    // The socket was made by the process that told first, as the user it was then.
    if token.user().as_raw() != told[0].user {
        tally.wrong.push(wrong("user"));
    }
    if token.flags().default() {
        return tally.count("answered, default: nothing but the user");
    }
    tally.count("answered, with a holder");
    if token.holders().len() > 1 {
        tally.count("answered, with several holders");
    }
    for holder in token.holders() {
        if !told.iter().any(|tell| is(holder, tell)) && !is_between(holder, told) {
            tally.wrong.push(wrong("no process was ever all this"));
        }
        for (field, is_there) in [
            ("process user", holder.process_user().is_some()),
            ("command", holder.command().is_some()),
            ("executable", holder.executable().is_some()),
        ] {
            if !is_there {
                tally.count(format!("holder without {field}"));
            }
        }
    }
    // What the token says in the name of all is what each of them is.
    let spoken = token.pid().is_none_or(|pid| told.iter().any(|tell| tell.pid == pid.as_raw()))
        && token.holders().iter().all(|holder| {
            token.process_user().is_none_or(|it| holder.process_user() == Some(it))
                && token.command().is_none_or(|it| holder.command() == Some(it))
                && token.executable().is_none_or(|it| holder.executable() == Some(it))
        });
    if !spoken {
        tally.wrong.push(wrong("the token speaks for others"));
    }
}

/// Whether the holder is a process that is just going to run another program: in the middle of
/// execve(2) the kernel itself shows the new executable with the old command.
fn is_between(holder: &Holder, told: &[Tell]) -> bool {
    told.windows(2)
        .filter(|two| two[0].pid == two[1].pid)
        .any(|two| is(holder, &Tell { executable: two[1].executable.clone(), ..two[0].clone() }))
}

/// Whether each field of the holder that is there is what the process told.
fn is(holder: &Holder, tell: &Tell) -> bool {
    holder.pid() == Pid::new(tell.pid).unwrap()
        && holder.start_ticks() == tell.start
        && holder.process_user().is_none_or(|user| Some(user) == Uid::new(tell.user))
        && holder.command().is_none_or(|command| *command == *tell.command)
        && holder.executable().is_none_or(|path| *path == *tell.executable)
}
