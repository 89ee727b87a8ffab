//! `opsctl tui`: the console.

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit_code::ExitCode;

/// Open the console
#[derive(Debug, Args)]
pub struct TuiArgs {}

/// Opens the console.
pub async fn run(_: TuiArgs, context: &Context) -> Result<u8> {
    open(context).await
}

/// Opens the console and returns when it is left.
pub async fn open(context: &Context) -> Result<u8> {
    context.client("tui")?;
    anyhow::bail!("the console is not part of this build yet");
    #[allow(unreachable_code)]
    Ok(ExitCode::Ok.into())
}
