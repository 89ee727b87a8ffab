//! A small fleet to test the console with.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "offered to the test files, each of which uses its own part"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    Activity, ActivitySource, AgentInfo, AgentList, CommandSpec, CommandStatus, CommandSummary,
    Connected, Kind, LimitsInfo, Presence, Program, Rights, Role, State as CommandState,
};
use opsctl_protocol::{AgentId, CommandId, OutputFrame, Timestamp};
use opsctl_tui::canvas::Canvas;
use opsctl_tui::state::{Effect, Input, Link, Message, Redraw, State};
use opsctl_tui::view::theme::Depth;
use opsctl_tui::view::theme::palette::Palette;
use opsctl_tui::view::{self, Kept, Theme};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// The time at which the tests play.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub fn id(number: u8) -> CommandId {
    CommandId([number; 16])
}

pub fn command(number: u8, agent: &str, line: &str, state: CommandState) -> CommandSummary {
    let ended = state.is_final();
    let mut spec = CommandSpec::new(Program::Shell(line.to_owned()));
    spec.pty = true;
    CommandSummary {
        requested_by: "uid:1000".to_owned(),
        created_at: Timestamp(NOW.0 - 200_000 + u64::from(number) * 1000),
        state,
        exit_code: ended.then_some(i32::from(number % 3)),
        started_at: Some(Timestamp(NOW.0 - 100_000)),
        finished_at: ended.then_some(Timestamp(NOW.0 - 97_700)),
        ..CommandSummary::queued(id(number), AgentId::new(agent).unwrap(), &spec)
    }
}

pub fn agent(name: &str, labels: &[(&str, &str)], commands: Vec<CommandSummary>) -> AgentInfo {
    AgentInfo {
        agent_id: AgentId::new(name).unwrap(),
        status: Presence::Connected,
        since: Timestamp(NOW.0 - 600_000),
        last_seen: Timestamp(NOW.0 - 100),
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        facts: BTreeMap::from([("hostname".to_owned(), "host-7".to_owned())]),
        capabilities: Vec::new(),
        activity: Activity::Unknown,
        activity_reason: None,
        activity_source: None,
        activity_since: None,
        activity_command_id: None,
        failed: false,
        commands,
        latency_ms: Some(3),
        max_commands: None,
    }
}

pub fn fleet() -> AgentList {
    let mut gone = agent("db-1", &[("env", "prod")], Vec::new());
    gone.status = Presence::Disconnected;
    gone.since = Timestamp(NOW.0 - 330_000);
    gone.last_seen = gone.since;
    let mut blocked = agent("opus-1", &[("project", "opsctl")], Vec::new());
    blocked.activity = Activity::Blocked;
    let build = command(1, "build-1", "cargo build --release", CommandState::Running);
    let agents = vec![
        agent("build-1", &[("env", "dev")], vec![build]),
        gone,
        blocked,
        agent("web-1", &[("env", "prod"), ("zone", "a")], Vec::new()),
    ];
    AgentList {
        agents,
        more: false,
    }
}

/// A console of this size, connected to the fleet.
pub fn console(cols: u16, rows: u16) -> State {
    let mut state = bare(cols, rows);
    state.message(Message::Link(Link::Connected), NOW);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    state.message(Message::Agents(fleet()), NOW);
    // What most tests are about; what needs a person stands above it.
    state.list.agent = Some(AgentId::new("build-1").unwrap());
    state
}

/// A console that has heard nothing yet.
pub fn bare(cols: u16, rows: u16) -> State {
    State::new((cols, rows), NOW, "unix:/run/opsctl.sock".to_owned(), false)
}

pub fn connected(role: Role) -> Connected {
    Connected {
        client_id: "c1".to_owned(),
        server_version: "0.1.0".to_owned(),
        epoch: "e1".to_owned(),
        started_at: None,
        heartbeat_ms: 15_000,
        limits: LimitsInfo::default(),
        rights: Rights {
            role,
            subject: "uid:0".to_owned(),
            agent: None,
        },
        commands: BTreeMap::new(),
    }
}

pub fn output(number: u8, offset: u64, text: &str) -> Message {
    Message::Output(OutputFrame {
        command_id: id(number),
        kind: Kind::Output,
        via: Via::Command,
        seq: 1,
        offset,
        time: NOW,
        size: None,
        data: Bytes::copy_from_slice(text.as_bytes()),
    })
}

/// The channels that are subscribed (`+`) and left (`-`), in this order.
pub fn heard(effects: &[Effect]) -> Vec<String> {
    let channels = effects.iter().filter_map(|effect| match effect {
        Effect::Subscribe(subscribe) => Some(format!("+{}", subscribe.channel.as_str())),
        Effect::Unsubscribe(pattern) => Some(format!("-{}", pattern.as_str())),
        _ => None,
    });
    channels.collect()
}

pub fn status(summary: CommandSummary) -> Message {
    Message::Status(CommandStatus::of(&summary))
}

pub fn key(state: &mut State, code: KeyCode) -> Vec<Effect> {
    press(state, code, KeyModifiers::NONE)
}

pub fn press(state: &mut State, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    state
        .input(Input::Key(KeyEvent::new(code, modifiers)), NOW)
        .effects
}

/// Types characters, and Enter for a line feed.
pub fn keys(state: &mut State, text: &str) -> Vec<Effect> {
    text.chars()
        .flat_map(|c| {
            key(
                state,
                if c == '\n' {
                    KeyCode::Enter
                } else {
                    KeyCode::Char(c)
                },
            )
        })
        .collect()
}

/// The theme for a terminal that only has the person's own sixteen colours.
pub fn sixteen() -> Theme {
    let palette = Palette::named("16").unwrap();
    Theme::new(|role| palette.style(role), Depth::Sixteen, false)
}

pub fn draw(state: &State, theme: &Theme) -> Buffer {
    draw_after(state, theme, &mut Kept::default())
}

/// Draws after a frame that has left `kept`.
pub fn draw_after(state: &State, theme: &Theme, kept: &mut Kept) -> Buffer {
    let (cols, rows) = state.size;
    let mut canvas = Canvas::new(TestBackend::new(cols, rows), state.size);
    canvas
        .draw(|frame| view::draw(state, theme, kept, Redraw::Everything, frame))
        .unwrap();
    canvas.backend().buffer().clone()
}

/// The screen as text, blanks at the ends of lines left out.
pub fn text(state: &State) -> String {
    let buffer = draw(state, &sixteen());
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width.max(1)).map(|row| {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
        }
        line.trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// So many lines with their numbers, as a terminal gets them.
pub fn numbered(lines: usize) -> String {
    let lines: Vec<String> = (0..lines).map(|n| format!("line {n}\r\n")).collect();
    lines.concat()
}

pub fn doing(mut agent: AgentInfo, activity: Activity, reason: Option<&str>) -> AgentInfo {
    agent.activity = activity;
    agent.activity_reason = reason.map(str::to_owned);
    agent.activity_source = Some(ActivitySource::Rule);
    agent.activity_since = Some(Timestamp(NOW.0 - 130_000));
    agent.activity_command_id = agent.commands.first().map(|command| command.command_id);
    agent
}

/// One of each state, in two projects and none.
pub fn one_of_each() -> Vec<AgentInfo> {
    let coder = |n: u8, project: &str, line: &str| {
        let command = command(n, &format!("coder-{n}"), line, CommandState::Running);
        agent(
            &format!("coder-{n}"),
            &[("project", project)],
            vec![command],
        )
    };
    let mut gone = agent("web-2", &[("zone", "b")], Vec::new());
    gone.status = Presence::Disconnected;
    vec![
        doing(coder(1, "opsctl", "claude"), Activity::Working, None),
        doing(
            coder(2, "opsctl", "claude"),
            Activity::Blocked,
            Some("approval"),
        ),
        doing(coder(3, "opsctl", "codex"), Activity::Done, None),
        doing(
            coder(4, "shop", "codex"),
            Activity::Error,
            Some("the context is full"),
        ),
        doing(coder(5, "shop", "aider"), Activity::Idle, None),
        doing(coder(6, "shop", "claude"), Activity::Starting, None),
        coder(7, "shop", "htop"),
        agent("web-1", &[("zone", "a")], Vec::new()),
        gone,
    ]
}
