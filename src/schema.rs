//! `opsctl schema`: the wire contract, for programs.

use std::io::Write;

use anyhow::Result;
use clap::Args;

use crate::exit_code::ExitCode;

/// Print the JSON Schema of every message of the wire contract
#[derive(Debug, Args)]
pub struct SchemaArgs {}

/// Prints the schema.
pub fn run() -> Result<u8> {
    let schema = serde_json::to_string_pretty(&opsctl_protocol::message::schema())?;
    writeln!(std::io::stdout().lock(), "{schema}")?;
    Ok(ExitCode::Ok.into())
}
