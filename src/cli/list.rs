//! `partner list`.

use super::arguments::List;
use super::form::Connections;
use super::output::Output;
use super::survey::Surveyor;
use super::table;
use super::{Failed, Status};

pub(super) fn run(list: &List, output: &Output) -> Result<Status, Failed> {
    let found = Surveyor::open()?.look(|_, _| true)?;
    if list.format.json {
        output.json(&Connections::new(&found))?;
    } else {
        output.text(&table::connections(&found, output))?;
    }
    Ok(Status::Done)
}
