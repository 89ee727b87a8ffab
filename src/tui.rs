//! `opsctl tui`: the console.

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit_code::ExitCode;

/// Open the console
#[derive(Debug, Args)]
pub struct TuiArgs {
    /// Only watch: run nothing, signal nothing, attach to nothing
    #[arg(long)]
    read_only: bool,
}

/// Opens the console.
pub async fn run(args: TuiArgs, context: &Context) -> Result<u8> {
    console(context, args.read_only).await
}

/// Opens the console and returns when it is left.
pub async fn open(context: &Context) -> Result<u8> {
    console(context, false).await
}

async fn console(context: &Context, read_only: bool) -> Result<u8> {
    let client = context.client("tui")?;
    let copy_command = context.settings.console.copy_command.clone();
    let options = opsctl_tui::Options {
        client,
        read_only,
        copy_command: (!copy_command.is_empty()).then_some(copy_command),
    };
    opsctl_tui::run(options).await?;
    Ok(ExitCode::Ok.into())
}
