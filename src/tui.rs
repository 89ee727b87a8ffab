//! `opsctl tui`: the console.

use anyhow::Result;
use clap::Args;
use opsctl_tui::keys::Keymap;
use opsctl_tui::themes::{NoTheme, Themes};
use opsctl_tui::view::theme::{Ascii, BUILT_IN, Wishes};

use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::settings::Settings;
use crate::settings::values::ThemeName;

/// Open the console
#[derive(Debug, Default, Args)]
pub struct TuiArgs {
    /// Only watch: run nothing, signal nothing, attach to nothing, and take nothing off that needs a person
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
    let theme = args.theme.as_ref();
    let theme = theme.unwrap_or(&context.settings.tui.theme).0.clone();
    let (look, themes) = look(&theme, &args, &context.settings)?;
    let keys = keys(&context.settings)?;
    let client = opsctl_client::Options {
        // The console says it in its own bar.
        tell: None,
        ..context.client("tui")?
    };
    let settings = &context.settings.tui;
    let copy_command = settings.copy_command.clone();
    let options = opsctl_tui::Options {
        client,
        read_only: args.read_only,
        copy_command: (!copy_command.is_empty()).then_some(copy_command),
        keys,
        alert: settings.alert,
        look,
        themes,
        theme: (theme, args.theme.is_some()),
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

/// What the console should look like, with the themes that there are.
fn look(name: &str, args: &TuiArgs, settings: &Settings) -> Result<(Wishes, Themes), Failure> {
    let themes = Themes {
        dir: settings.themes_dir(),
    };
    let theme = themes.choice(name).map_err(|error| {
        let hint = match error {
            NoTheme::Wrong { .. } => "docs/themes.md tells what a theme file has".to_owned(),
            _ => format!("built-in themes are auto, {}", BUILT_IN.join(", ")),
        };
        Failure::new(ExitCode::Usage, error.to_string()).hint(hint)
    })?;
    let ascii = if args.ascii {
        Ascii::Always
    } else {
        settings.tui.ascii
    };
    let colors = settings.tui.colors;
    let wishes = Wishes {
        theme,
        colors,
        ascii,
    };
    Ok((wishes, themes))
}
