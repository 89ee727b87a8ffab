//! The views beside the fleet, the palette, and the way between them.

mod world;

use crossterm::event::{KeyCode, KeyModifiers};
use opsctl_protocol::message::{
    ActivityLog, CommandList, Level, Notification, Priority, Program, Signal,
    State as CommandState, TaskStatus,
};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::activity::Told;
use opsctl_tui::state::commands::{Again, History};
use opsctl_tui::state::{Answer, Effect, Input, Link, Message, Overlay, State, View};
use world::*;

/// Takes a snapshot at every size, and makes sure that the smallest doesn't panic.
fn everywhere(name: &str, make: impl Fn(u16, u16) -> State) {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        insta::assert_snapshot!(format!("{name}_{cols}x{rows}"), text(&make(cols, rows)));
    }
    for (cols, rows) in [(10, 5), (10, 2), (1, 1), (2, 40), (300, 3)] {
        text(&make(cols, rows));
    }
}

/// The fleet with a queue and a history.
fn busy(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    for (number, line) in [
        (2, "make test"),
        (3, "systemctl restart app"),
        (4, "cargo clippy --workspace --all-targets"),
    ] {
        state.message(
            status(command(number, "web-1", line, CommandState::Exited)),
            NOW,
        );
    }
    for (number, place) in [(6, 2), (5, 1)] {
        let mut waiting = command(number, "build-1", "deploy --to prod", CommandState::Queued);
        waiting.queue_position = Some(place);
        waiting.started_at = None;
        waiting.expires_at = Some(Timestamp(NOW.0 + 240_000));
        state.message(status(waiting), NOW);
    }
    state
}

fn all_commands(cols: u16, rows: u16) -> State {
    let mut state = busy(cols, rows);
    keys(&mut state, "3");
    state.message(
        Message::Answer(Answer::History(CommandList::default())),
        NOW,
    );
    state
}

fn listed(state: &State) -> Vec<u8> {
    state
        .all_commands()
        .map(|command| command.command_id.0[0])
        .collect()
}

#[test]
fn commands_at_every_size() {
    everywhere("commands", all_commands);
}

#[test]
fn the_palette_at_every_size() {
    everywhere("palette", |cols, rows| {
        let mut state = busy(cols, rows);
        press(&mut state, KeyCode::Char('k'), KeyModifiers::CONTROL);
        keys(&mut state, "co");
        state
    });
}

/// A notification of an agent.
fn note(agent: &str, title: &str, priority: Priority) -> Message {
    let note = Notification {
        title: title.to_owned(),
        message: "see there".to_owned(),
        priority,
    };
    Message::Told(AgentId::new(agent).ok(), NOW, Told::Notification(note))
}

fn task(id: &str, status: &str) -> Message {
    let (task_id, status) = (id.to_owned(), status.to_owned());
    Message::Told(
        AgentId::new("opus-1").ok(),
        NOW,
        Told::Task(TaskStatus { task_id, status }),
    )
}

fn line(agent: &str, level: Level, message: &str) -> Message {
    let line = ActivityLog {
        level,
        message: message.to_owned(),
        metadata: std::collections::BTreeMap::new(),
    };
    Message::Told(AgentId::new(agent).ok(), NOW, Told::Line(line))
}

/// A fleet of which something was heard.
fn eventful(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    let told = [
        line("web-1", Level::Warn, "tests are flaky"),
        line("web-1", Level::Warn, "tests are flaky"),
        task("7", "started"),
        note("build-1", "Built", Priority::Low),
        note("opus-1", "Review needed", Priority::High),
        task("7", "in review"),
        line("web-1", Level::Error, "the disk is full"),
    ];
    for message in told {
        state.message(message, NOW);
    }
    state
}

fn lines(state: &State) -> Vec<String> {
    let entries = state.activity.listed().into_iter();
    entries
        .map(|entry| format!("{} {} {}", entry.source, entry.text, entry.times))
        .collect()
}

#[test]
fn activity_at_every_size() {
    everywhere("activity", |cols, rows| {
        let mut state = eventful(cols, rows);
        keys(&mut state, "4");
        state
    });
}

#[test]
fn news_are_told_at_every_size() {
    everywhere("toast", |cols, rows| {
        let mut state = eventful(cols, rows);
        state.message(note("web-1", "Deployed", Priority::Normal), NOW);
        state
    });
}

#[test]
fn the_log_folds_what_repeats_and_has_the_latest_of_each_task() {
    let mut state = eventful(80, 24);
    let expected = [
        "web-1 the disk is full 1",
        "task:7 in review 1",
        "opus-1 Review needed: see there 1",
        "build-1 Built: see there 1",
        "web-1 tests are flaky 2",
        "connection connected 1",
    ];
    assert_eq!(lines(&state), expected);
    keys(&mut state, "4/level:err from:web-*\n");
    assert_eq!(lines(&state), expected[..1]);
    key(&mut state, KeyCode::Esc);
    keys(&mut state, "jj\n");
    assert_eq!(
        (state.view, state.list.agent.clone()),
        (View::Fleet, AgentId::new("opus-1").ok())
    );
    for attempt in 1..=3 {
        let (until, reason) = (NOW, "no daemon answers".to_owned());
        state.message(
            Message::Link(Link::Waiting {
                attempt,
                until,
                reason,
            }),
            NOW,
        );
        state.message(Message::Link(Link::Connecting { attempt }), NOW);
    }
    assert_eq!(lines(&state)[0], "connection no daemon answers 3");
    let refused = Message::Error("no such thing".to_owned());
    state.message(refused, NOW);
    assert_eq!(lines(&state)[0], "console no such thing 1");
}

#[test]
fn the_gravest_news_is_told_for_a_while_and_covers_no_pane() {
    let mut state = eventful(80, 24);
    state.message(note("web-1", "Deployed", Priority::Normal), NOW);
    let screen = text(&state);
    let mut rows = screen.lines();
    let bar = rows.next().unwrap();
    assert!(
        bar.contains("opus-1: Review needed") && bar.contains("(+1)") && bar.contains("connected"),
        "{bar}"
    );
    assert!(!rows.any(|row| row.contains("Review needed")));
    let later = state.next_change().unwrap();
    state.input(Input::Tick, later);
    assert!(!text(&state).contains("Review needed"));
    assert_eq!(state.activity.unseen, 2);
    keys(&mut state, "4");
    assert_eq!(state.activity.unseen, 0);
}

#[test]
fn what_is_urgent_calls_the_person_and_never_rings_without_end() {
    let mut state = console(80, 24);
    let alerts = |state: &mut State, at| {
        let effects = state
            .message(note("web-1", "Down", Priority::Urgent), at)
            .effects;
        effects
            .into_iter()
            .filter(|effect| matches!(effect, Effect::Alert(_)))
            .count()
    };
    assert_eq!(alerts(&mut state, NOW), 1);
    assert_eq!(alerts(&mut state, NOW), 0);
    assert_eq!(alerts(&mut state, Timestamp(NOW.0 + 2000)), 1);
    assert!(
        state
            .message(note("web-1", "Slow", Priority::High), NOW)
            .effects
            .is_empty()
    );
}

#[test]
fn a_flood_of_news_stays_bounded() {
    let mut state = console(80, 24);
    for number in 0..5000 {
        state.message(
            note(
                "web-1",
                &format!("{number} {}", "x".repeat(2000)),
                Priority::High,
            ),
            NOW,
        );
    }
    assert!(state.activity.listed().len() <= 2000);
    assert!(
        state
            .activity
            .listed()
            .iter()
            .all(|entry| entry.text.len() <= 500)
    );
    assert!(text(&state).contains("(+15)"));
}

#[test]
fn what_runs_comes_first_then_the_queue_in_its_order_then_the_newest() {
    let state = all_commands(80, 24);
    assert_eq!(listed(&state), [1, 5, 6, 4, 3, 2]);
}

#[test]
fn commands_are_narrowed_by_words_and_fields() {
    let mut state = all_commands(80, 24);
    for (filter, expected) in [
        ("state:queued", &[5, 6][..]),
        ("agent:web-* exit:!0", &[4, 2]),
        ("agent:web-* exit:0", &[3]),
        ("clippy", &[4]),
        ("state:!exited agent:build-1 !cargo", &[5, 6]),
        ("by:nobody", &[]),
    ] {
        keys(&mut state, "/");
        keys(&mut state, filter);
        assert_eq!(listed(&state), expected, "{filter}");
        key(&mut state, KeyCode::Esc);
    }
    keys(&mut state, "/clippy\n");
    assert_eq!(listed(&state), [4]);
    key(&mut state, KeyCode::Esc);
    assert_eq!((listed(&state).len(), state.view), (6, View::Commands));
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.view, View::Fleet);
}

#[test]
fn the_history_comes_in_pages_as_far_as_one_goes() {
    let mut state = busy(80, 24);
    let asked = keys(&mut state, "3");
    assert!(
        matches!(asked.last(), Some(Effect::History(query)) if query.before.is_none()),
        "{asked:?}"
    );
    let page = |from: u8, more| {
        let commands = (from..from + 60)
            .rev()
            .map(|number| command(number, "web-1", "old", CommandState::Exited));
        Message::Answer(Answer::History(CommandList {
            commands: commands.collect(),
            more,
        }))
    };
    assert!(
        state.message(page(100, true), NOW).effects.is_empty(),
        "the end is far"
    );
    let asked = keys(&mut state, "G");
    let last = command(100, "web-1", "old", CommandState::Exited);
    let [Effect::History(query)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (query.before, query.before_id),
        (Some(last.created_at), Some(last.command_id))
    );
    assert!(keys(&mut state, "G").is_empty(), "a page is on its way");
    state.message(page(30, false), NOW);
    assert_eq!(state.commands.history, History::Whole);
    assert!(keys(&mut state, "G").is_empty());
}

#[test]
fn a_command_is_cancelled_run_again_interrupted_and_shown_from_there() {
    let mut state = busy(80, 24);
    // Marks in the fleet mean nothing here.
    keys(&mut state, "G ");
    keys(&mut state, "3");
    state.message(
        Message::Answer(Answer::History(CommandList::default())),
        NOW,
    );
    assert_eq!(keys(&mut state, "x"), [Effect::Signal(id(1), Signal::Int)]);
    assert_eq!(keys(&mut state, "d"), [], "it runs");
    assert_eq!(keys(&mut state, "jd"), []);
    assert!(text(&state).contains("out of build-1's queue? [y/N]"));
    assert_eq!(keys(&mut state, "\n"), [], "Enter is no");
    assert_eq!(keys(&mut state, "dy"), [Effect::Cancel(id(5))]);
    keys(&mut state, "G");
    assert_eq!(keys(&mut state, "r"), []);
    assert!(
        text(&state).contains("run `make test` on web-1 again? [y/N]"),
        "{}",
        text(&state)
    );
    assert_eq!(keys(&mut state, "\n"), [], "Enter is no");
    keys(&mut state, "r");
    let again = Again {
        agent: AgentId::new("web-1").unwrap(),
        program: Program::Shell("make test".to_owned()),
        cwd: None,
        pty: true,
        size: (80, 24),
    };
    assert_eq!(keys(&mut state, "y"), [Effect::Again(Box::new(again))]);
    let opened = keys(&mut state, "\n");
    assert!(
        opened
            .iter()
            .any(|effect| matches!(effect, Effect::Subscribe(_)))
    );
    assert_eq!((state.view, state.mode()), (View::Fleet, Mode::Pane));
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.view, View::Commands);
}

#[test]
fn half_a_command_is_not_run_again() {
    let mut state = all_commands(80, 24);
    let long = Program::Shell("x".repeat(600)).abridged();
    let mut old = command(7, "web-1", "", CommandState::Exited);
    old.program = long;
    state.message(status(old), NOW);
    state.commands.selected = Some(id(7));
    assert_eq!(keys(&mut state, "ry"), []);
    assert!(text(&state).contains("too long"));
}

#[test]
fn the_palette_finds_by_letters_and_remembers() {
    let mut state = busy(80, 24);
    let open = |state: &mut State, letters: &str| {
        press(state, KeyCode::Char('k'), KeyModifiers::CONTROL);
        keys(state, letters);
    };
    open(&mut state, "web-1");
    keys(&mut state, "\n");
    assert_eq!(state.list.agent, AgentId::new("web-1").ok());
    open(&mut state, "connections");
    keys(&mut state, "\n");
    assert_eq!(state.view, View::Connections);
    open(&mut state, "");
    let Some(Overlay::Palette(palette)) = &state.overlay else {
        panic!("it is open")
    };
    assert!(
        palette.found[0].label.contains("daemon"),
        "{:?}",
        palette.found[0]
    );
    assert!(
        palette.found[1].label.contains("web-1"),
        "{:?}",
        palette.found[1]
    );
    key(&mut state, KeyCode::Esc);
    assert!(state.overlay.is_none());
    open(&mut state, "cargo build");
    let opened = keys(&mut state, "\n");
    assert!(
        opened
            .iter()
            .any(|effect| matches!(effect, Effect::Subscribe(_))),
        "{opened:?}"
    );
    assert_eq!(state.mode(), Mode::Pane);
    open(&mut state, "no such thing at all");
    assert_eq!(keys(&mut state, "\n"), []);
}

#[test]
fn the_help_is_searched() {
    let mut state = console(80, 24);
    keys(&mut state, "?/zoom");
    let shown = text(&state);
    assert!(
        shown.contains("one pane on the whole screen") && !shown.contains("kill the command"),
        "{shown}"
    );
    assert!(
        shown.lines().last().unwrap().starts_with("/zoom"),
        "{shown}"
    );
    keys(&mut state, "\n");
    assert_eq!(state.mode(), Mode::Help);
    assert!(!text(&state).contains("kill the command"));
    keys(&mut state, "/");
    key(&mut state, KeyCode::Esc);
    assert!(text(&state).contains("kill the command"));
    key(&mut state, KeyCode::Esc);
    assert!(state.overlay.is_none());
}

fn first_found(state: &State) -> Vec<&str> {
    match &state.overlay {
        Some(Overlay::Palette(palette)) => {
            let found = palette.found.iter().take(3);
            found.map(|item| item.label.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn the_palette_has_names_first_then_beginnings_then_what_was_chosen_last() {
    let mut state = busy(80, 24);
    let opened = |state: &mut State, letters: &str| {
        state.overlay = None;
        press(state, KeyCode::Char('k'), KeyModifiers::CONTROL);
        keys(state, letters);
    };
    opened(&mut state, "web-1");
    assert_eq!(first_found(&state)[0], "web-1");
    opened(&mut state, "help");
    assert_eq!(first_found(&state)[0], "this help", "by the action's name");
    // What was chosen last comes first among what fits alike, and not before what fits better.
    opened(&mut state, "connections");
    key(&mut state, KeyCode::Enter);
    keys(&mut state, "1");
    opened(&mut state, "conn");
    let connections = "the connection to the daemon, and who else is connected";
    assert_eq!(first_found(&state)[..2], [connections, "connect again now"]);
    opened(&mut state, "connect again");
    assert_eq!(first_found(&state)[0], "connect again now");
    opened(&mut state, "");
    let recent = first_found(&state)[0];
    assert_eq!(
        recent,
        "the connection to the daemon, and who else is connected"
    );
}

#[test]
fn hints_name_only_what_would_do_something() {
    let mut state = console(120, 40);
    let hints = |state: &State| text(state).lines().last().unwrap_or_default().to_owned();
    assert!(hints(&state).contains("needs you") && hints(&state).contains("interrupt"));
    assert!(!hints(&state).contains("zoom"), "no pane is open");
    state.list.agent = AgentId::new("web-1").ok();
    assert!(!hints(&state).contains("interrupt"), "nothing runs there");
    state.list.agent = AgentId::new("opus-1").ok();
    keys(&mut state, "s");
    assert!(!hints(&state).contains("needs you"), "{}", hints(&state));
    state.read_only = true;
    assert!(!hints(&state).contains(" run"), "{}", hints(&state));
}

#[test]
fn everything_that_is_told_is_in_the_history() {
    let mut state = eventful(80, 24);
    state.message(note("web-1", "Deployed", Priority::Normal), NOW);
    state.message(Message::News("written to /tmp/x".to_owned()), NOW);
    state.message(Message::Error("no such thing".to_owned()), NOW);
    for told in [
        "Review needed",
        "Deployed",
        "written to /tmp/x",
        "no such thing",
    ] {
        let found = lines(&state).into_iter().filter(|line| line.contains(told));
        assert_eq!(found.count(), 1, "{told}");
    }
}

#[test]
fn times_are_those_of_the_persons_clock() {
    let mut state = eventful(120, 40);
    keys(&mut state, "4");
    assert!(text(&state).contains("UTC") && text(&state).contains("22:13:20"));
    state.zone = opsctl_tui::clock::Zone::named("CET-1CEST,M3.5.0,M10.5.0/3");
    let shown = text(&state);
    assert!(
        shown.contains("TIME") && shown.contains("23:13:20"),
        "{shown}"
    );
    assert!(!shown.contains("UTC"), "{shown}");
}

#[test]
fn lines_of_the_command_line_are_found_in_the_palette_and_offered_while_typed() {
    for letters in ["exp", "export"] {
        let mut state = console(120, 40);
        press(&mut state, KeyCode::Char('k'), KeyModifiers::CONTROL);
        keys(&mut state, letters);
        assert!(
            text(&state).contains(":export text|ansi|cast FILE"),
            "{}",
            text(&state)
        );
        keys(&mut state, "\n");
        assert!(
            text(&state).contains(":export   text|ansi|cast FILE"),
            "{}",
            text(&state)
        );
    }
    let mut state = console(120, 40);
    keys(&mut state, ":gr");
    assert!(text(&state).contains(":gr  group grid"), "{}", text(&state));
}
