//! `opsctl tui`: the console.

use anyhow::Result;
use clap::Args;
use opsctl_tui::keys::Keymap;
use opsctl_tui::view::theme::own::Own;
use opsctl_tui::view::theme::wishes::Choice;
use opsctl_tui::view::theme::{Ascii, BUILT_IN, Wishes};

use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::settings::Settings;
use crate::settings::values::ThemeName;

/// Open the console
#[derive(Debug, Default, Args)]
pub struct TuiArgs {
    /// Only watch: run nothing, signal nothing, attach to nothing
    #[arg(long)]
    read_only: bool,
    /// The theme: auto, dark, light, 16, contrast, none, or one of your own [setting: tui.theme]
    #[arg(long, value_name = "NAME")]
    theme: Option<ThemeName>,
    /// Draw nothing but ASCII [setting: tui.ascii]
    #[arg(long)]
    ascii: bool,
}

/// Opens the console.
pub async fn run(args: TuiArgs, context: &Context) -> Result<u8> {
    let look = look(&args, &context.settings)?;
    let keys = keys(&context.settings)?;
    let client = context.client("tui")?;
    let settings = &context.settings.tui;
    let copy_command = settings.copy_command.clone();
    let options = opsctl_tui::Options {
        client,
        read_only: args.read_only,
        copy_command: (!copy_command.is_empty()).then_some(copy_command),
        keys,
        alert: settings.alert,
        look,
        reduced_motion: settings.reduced_motion,
        memory: Some(context.settings.state_dir().join("console")),
        draw_unfocused: settings.draw_unfocused,
    };
    opsctl_tui::run(options).await?;
    Ok(ExitCode::Ok.into())
}

/// Opens the console and returns when it is left.
pub async fn open(context: &Context) -> Result<u8> {
    run(TuiArgs::default(), context).await
}

/// Which keys do what.
fn keys(settings: &Settings) -> Result<Keymap, Failure> {
    Keymap::new(&settings.tui.keys).map_err(|error| {
        let place = settings.position("tui", "keys");
        let place = place.map_or_else(String::new, |place| format!("{place}: "));
        Failure::new(ExitCode::Usage, format!("{place}tui.keys: {error}"))
            .hint("docs/keys.md has the names of all actions and their keys")
    })
}

/// What the console should look like.
fn look(args: &TuiArgs, settings: &Settings) -> Result<Wishes, Failure> {
    let name = args.theme.as_ref().unwrap_or(&settings.tui.theme);
    let ascii = if args.ascii {
        Ascii::Always
    } else {
        settings.tui.ascii
    };
    Ok(Wishes {
        theme: theme(&name.0, settings)?,
        colors: settings.tui.colors,
        ascii,
    })
}

fn theme(name: &str, settings: &Settings) -> Result<Choice, Failure> {
    if name == "auto" {
        return Ok(Choice::Auto);
    }
    if let Some(name) = BUILT_IN.into_iter().find(|known| *known == name) {
        return Ok(Choice::BuiltIn(name));
    }
    let wrong = |message: String| Failure::new(ExitCode::Usage, message);
    let all = BUILT_IN.join(", ");
    let Some(file) = settings.theme_file(name) else {
        return Err(wrong(format!(
            "there is no theme {name:?}: expected auto or one of {all}"
        )));
    };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        wrong(format!(
            "there is no theme {name:?}: {} cannot be read: {error}",
            file.display()
        ))
        .hint(format!("built-in themes are auto, {all}"))
    })?;
    Own::read(&text)
        .map(|own| Choice::Own(Box::new(own)))
        .map_err(|problem| {
            let place = format!("{}:{}:{}", file.display(), problem.line, problem.column);
            wrong(format!("{place}: {}", problem.what))
                .hint("docs/themes.md tells what a theme file has")
        })
}
