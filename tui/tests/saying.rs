//! What is said to programs from the console: answers to what they ask, and messages.
#![allow(clippy::unwrap_used, reason = "a test")]

mod world;

use crossterm::event::KeyCode;
use opsctl_protocol::message::{
    AgentList, Approval, ApprovalAnswer, Obstacle, Role, State as CommandState, TerminalTyped,
    TypedState, Verdict,
};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::saying::{Listener, Saying, Words};
use opsctl_tui::state::{Answer, Effect, Input, Message, State};
use world::*;

const ASKED: &str = "Bash command\n\n  rm -rf build\n\nDo you want to proceed?";

fn approval(asked: &str) -> Approval {
    Approval {
        asked: asked.to_owned(),
        approve: "1".to_owned(),
        deny: "\u{1b}".to_owned(),
    }
}

/// The Inbox, with `coder-2` selected, which asks this.
fn asking(cols: u16, rows: u16, asked: &str) -> State {
    let mut agents = one_of_each();
    agents[1].commands[0].approval = Some(approval(asked));
    let mut state = console(cols, rows);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    let more = false;
    state.message(Message::Agents(AgentList { agents, more }), NOW);
    keys(&mut state, "2");
    state
}

/// What was asked of the daemon.
fn sayings(effects: Vec<Effect>) -> Vec<Saying> {
    let said = effects.into_iter().filter_map(|effect| match effect {
        Effect::Say(saying) => Some(*saying),
        _ => None,
    });
    said.collect()
}

fn listener(agent: &str, number: u8) -> Listener {
    Listener {
        agent: AgentId::new(agent).unwrap(),
        command: Some(id(number)),
    }
}

/// The daemon's word on a message.
fn typed(saying: &Saying, state: TypedState, reason: Option<&str>) -> TerminalTyped {
    TerminalTyped {
        key: saying.key.clone(),
        agent_id: saying.to.agent.clone(),
        command_id: saying.to.command.unwrap_or(id(99)),
        state,
        queue_position: (state == TypedState::Queued).then_some(1),
        obstacle: (state == TypedState::Refused).then_some(Obstacle::Changed),
        reason: reason.map(str::to_owned),
        evidence: None,
        text: "1".to_owned(),
        requested_by: "uid:1000".to_owned(),
        created_at: NOW,
        expires_at: None,
    }
}

fn answered(state: &mut State, typed: TerminalTyped) {
    let answer = Answer::Said(typed.key.clone(), Ok(typed));
    state.message(Message::Answer(answer), NOW);
}

fn paste(state: &mut State, text: &str) {
    state.input(Input::Paste(text.to_owned()), NOW);
}

#[test]
fn what_is_answered_is_shown_and_asked_first() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let mut state = asking(cols, rows, ASKED);
        assert_eq!(keys(&mut state, "d"), []);
        assert_eq!(state.mode(), Mode::Confirm);
        insta::assert_snapshot!(format!("answer_{cols}x{rows}"), text(&state));
    }
    for (key, verdict) in [("a", Verdict::Approve), ("d", Verdict::Deny)] {
        let mut state = asking(120, 40, ASKED);
        for no in ["\n", "n", "q"] {
            assert_eq!(keys(&mut state, &format!("{key}{no}")), [], "{no:?}");
            assert_eq!(state.mode(), Mode::Inbox);
        }
        let said = sayings(keys(&mut state, &format!("{key}y")));
        let seen = approval(ASKED);
        let answer = ApprovalAnswer { verdict, seen };
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].to, listener("coder-2", 2));
        assert_eq!(said[0].words, Words::Answer(answer));
    }
}

#[test]
fn who_begins_to_look_still_knows_what_is_asked() {
    let mut state = asking(120, 40, ASKED);
    // The daemon's last status of the command, from before it asked.
    let running = command(2, "coder-2", "claude", CommandState::Running);
    state.message(status(running), NOW);
    keys(&mut state, "a");
    assert_eq!(state.mode(), Mode::Confirm);
}

#[test]
fn an_older_word_on_a_command_changes_nothing() {
    let mut state = asking(120, 40, ASKED);
    let older = [
        CommandState::Queued,
        CommandState::Delivered,
        CommandState::Running,
    ];
    for word in older {
        state.message(status(command(2, "coder-2", "claude", word)), NOW);
        let known = state.summary(&id(2)).unwrap();
        assert_eq!(known.state, CommandState::Running, "after {word}");
        assert_eq!(known.approval, Some(approval(ASKED)), "after {word}");
    }
    keys(&mut state, "a");
    assert_eq!(state.mode(), Mode::Confirm);
    // What has ended does not run again, and a queue takes back what was sent.
    let mut state = asking(120, 40, ASKED);
    for (word, stands) in [
        (CommandState::Exited, CommandState::Exited),
        (CommandState::Running, CommandState::Exited),
    ] {
        state.message(status(command(2, "coder-2", "claude", word)), NOW);
        assert_eq!(state.summary(&id(2)).unwrap().state, stands);
    }
    for word in [CommandState::Delivered, CommandState::Queued] {
        state.message(status(command(90, "coder-2", "claude", word)), NOW);
        assert_eq!(state.summary(&id(90)).unwrap().state, word);
    }
}

#[test]
fn a_long_question_is_all_to_be_seen() {
    let lines: Vec<String> = (0..30).map(|n| format!("line {n:02}")).collect();
    let tail = format!("{} rm -rf /", "x".repeat(100));
    let mut state = asking(40, 10, &format!("{}\n{tail}", lines.join("\n")));
    keys(&mut state, "a");
    let mut seen = text(&state);
    assert!(seen.contains("lines 1-7 of 33"), "{seen}");
    for _ in 0..40 {
        keys(&mut state, "j");
        seen += &text(&state);
    }
    for line in &lines {
        assert!(seen.contains(line), "{line}");
    }
    // Broken where the line ends, not cut off.
    assert!(text(&state).contains("rm -rf /"), "{}", text(&state));
    assert!(!text(&state).contains("line 00"), "{}", text(&state));
    keys(&mut state, &"k".repeat(40));
    assert!(text(&state).contains("line 00"));
    assert_eq!(sayings(keys(&mut state, "y")).len(), 1);
    for (cols, rows) in [(1, 1), (2, 2), (3, 3), (10, 4)] {
        let mut state = asking(cols, rows, ASKED);
        keys(&mut state, "ajjkj");
        text(&state);
    }
}

#[test]
fn a_prompt_that_has_changed_is_said_to_have_and_refused_by_the_daemon() {
    let mut state = asking(120, 40, ASKED);
    keys(&mut state, "a");
    assert!(text(&state).contains("coder-2 asks"), "{}", text(&state));
    let mut agent = one_of_each().swap_remove(1);
    agent.commands[0].approval = Some(approval("Do you want to create x?"));
    state.message(Message::Agent(agent), NOW);
    let changed = "coder-2 asked this, and no longer does";
    assert!(text(&state).contains(changed), "{}", text(&state));
    let said = sayings(keys(&mut state, "y"));
    let Words::Answer(answer) = &said[0].words else {
        panic!("{said:?}")
    };
    assert_eq!(answer.seen, approval(ASKED), "what was shown, not what is");
    let why = "another prompt is open";
    answered(&mut state, typed(&said[0], TypedState::Refused, Some(why)));
    let told = "coder-2: refused (another prompt is open)";
    assert!(text(&state).contains(told), "{}", text(&state));
    keys(&mut state, "4");
    let log = text(&state);
    assert!(
        log.contains("approve: refused (another prompt is open), by uid:0: 1 to \"Bash command"),
        "{log}"
    );
    assert_eq!(
        log.matches("approve: refused").count(),
        2,
        "once, and below: {log}"
    );
}

#[test]
fn nothing_is_answered_where_it_is_not_known_what_is_asked_or_one_only_watches() {
    let mut state = asking(120, 40, ASKED);
    keys(&mut state, "jad");
    assert_eq!(state.mode(), Mode::Inbox);
    assert!(text(&state).contains("it is not known what it asks"));
    for key in ["a", "d", "S", "I"] {
        let mut state = asking(120, 40, ASKED);
        state.read_only = true;
        assert_eq!(keys(&mut state, key), []);
        assert_eq!(state.mode(), Mode::Inbox, "{key}");
        assert!(text(&state).contains("--read-only"), "{}", text(&state));
        let mut state = asking(120, 40, ASKED);
        state.message(Message::Connected(connected(Role::Viewer)), NOW);
        keys(&mut state, key);
        assert_eq!(state.mode(), Mode::Inbox, "{key}");
    }
}

#[test]
fn one_message_goes_to_the_terminal_that_the_focus_is_on() {
    let mut state = asking(120, 40, ASKED);
    keys(&mut state, "SGo on.");
    assert!(text(&state).contains("say to coder-2: Go on."));
    let said = sayings(keys(&mut state, "\n"));
    let words = |when_idle| Words::Text {
        text: "Go on.".to_owned(),
        when_idle,
    };
    assert_eq!(said[0].to, listener("coder-2", 2));
    assert_eq!(said[0].words, words(false));
    // The line before comes back, and may wait this time.
    keys(&mut state, "I");
    key(&mut state, KeyCode::Up);
    assert!(text(&state).contains("when idle, say to coder-2: Go on."));
    let again = sayings(keys(&mut state, "\n"));
    assert_eq!(again[0].words, words(true));
    assert_ne!(again[0].key, said[0].key);
    let line = sayings(keys(&mut state, ":say-idle Go on.\n"));
    assert_eq!(line[0].words, words(true));
    // In the fleet, it is the program that the agent's state is of.
    keys(&mut state, "1");
    state.list.agent = Some(AgentId::new("coder-5").unwrap());
    let said = sayings(keys(&mut state, "Shello\n"));
    assert_eq!(said[0].to, listener("coder-5", 5));
    // Where none is known, the daemon says so.
    state.list.agent = Some(AgentId::new("web-1").unwrap());
    let said = sayings(keys(&mut state, "Shello\n"));
    assert_eq!(said[0].to.command, None);
    assert_eq!(keys(&mut state, "S\n"), [], "nothing is nothing");
}

#[test]
fn several_lines_by_paste_are_one_message() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let mut state = asking(cols, rows, ASKED);
        keys(&mut state, "S");
        paste(&mut state, "one\rtwo\r\n\tthree\n\x1b[201~four");
        insta::assert_snapshot!(format!("say_{cols}x{rows}"), text(&state));
        let said = sayings(keys(&mut state, "\n"));
        let text = "one\ntwo\n\tthree\n[201~four".to_owned();
        let when_idle = false;
        assert_eq!(said[0].words, Words::Text { text, when_idle });
    }
    let mut state = asking(120, 40, ASKED);
    keys(&mut state, "S");
    paste(&mut state, &"x".repeat(70_000));
    assert!(text(&state).contains("say to coder-2: \n") || !text(&state).contains("xxx"));
}

/// The fleet with three agents marked, and a message for them that waits for a yes.
fn to_many(cols: u16, rows: u16) -> State {
    let mut state = asking(cols, rows, ASKED);
    keys(&mut state, "1");
    for agent in ["coder-1", "coder-5", "web-1"] {
        state.list.marks.insert(AgentId::new(agent).unwrap());
    }
    keys(&mut state, "I");
    paste(&mut state, "Rebase on main,\nthen run the tests.");
    assert_eq!(keys(&mut state, "\n"), []);
    state
}

#[test]
fn to_many_it_is_shown_whole_and_asked_first_and_each_answer_counts() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let state = to_many(cols, rows);
        insta::assert_snapshot!(format!("say_to_many_{cols}x{rows}"), text(&state));
    }
    let mut state = to_many(120, 40);
    assert_eq!(keys(&mut state, "\n"), [], "no is what is meant");
    let mut state = to_many(120, 40);
    let said = sayings(keys(&mut state, "y"));
    let to: Vec<_> = said.iter().map(|saying| saying.to.clone()).collect();
    let none = Listener {
        agent: AgentId::new("web-1").unwrap(),
        command: None,
    };
    assert_eq!(to, [listener("coder-1", 1), listener("coder-5", 5), none]);
    answered(
        &mut state,
        typed(&said[0], TypedState::Queued, Some("it is working")),
    );
    answered(&mut state, typed(&said[1], TypedState::Submitted, None));
    assert!(!text(&state).contains("submitted"), "not all have answered");
    let why = "no terminal runs on web-1".to_owned();
    let refused = Answer::Said(said[2].key.clone(), Err(why));
    state.message(Message::Answer(refused), NOW);
    let told = "1 submitted, 1 queued, 1 refused: web-1 refused (no terminal runs on web-1)";
    assert!(text(&state).contains(told), "{}", text(&state));
    // What waited is told when its time has come, and once.
    let later = Timestamp(NOW.0 + 10_000);
    let word = typed(&said[0], TypedState::Submitted, None);
    state.input(Input::Tick, later);
    state.message(Message::Typed(word.clone()), later);
    assert!(text(&state).contains("coder-1: submitted"));
    state.message(Message::Typed(word), later);
    keys(&mut state, "4");
    let log = text(&state);
    let said_of = |agent: &str, word: &str| {
        let fits = |line: &&str| line.contains(agent) && line.contains(word);
        log.lines().filter(fits).count()
    };
    assert_eq!(
        said_of("coder-1", "queued (place 1; it is working)"),
        1,
        "{log}"
    );
    assert_eq!(said_of("coder-5", ": submitted"), 1, "{log}");
}

#[test]
fn what_waits_is_asked_for_again_with_its_key_when_the_connection_is_back() {
    let mut state = asking(120, 40, ASKED);
    let said = sayings(keys(&mut state, "Ilater\n"));
    let again = |state: &mut State| {
        let back = Message::Connected(connected(Role::Admin));
        sayings(state.message(back, NOW).effects)
    };
    assert_eq!(again(&mut state), [], "its answer is still on its way");
    let queued = typed(&said[0], TypedState::Queued, None);
    answered(&mut state, queued.clone());
    assert!(text(&state).contains("coder-2: queued (place 1)"));
    assert_eq!(again(&mut state), said);
    answered(&mut state, queued);
    answered(&mut state, typed(&said[0], TypedState::Typed, None));
    assert!(text(&state).contains("coder-2: typed"));
    assert_eq!(again(&mut state), []);
}

#[test]
fn what_others_type_is_in_the_log_and_told_to_nobody() {
    let mut state = asking(120, 40, ASKED);
    let mut others = Saying {
        key: "k1".to_owned(),
        to: listener("coder-3", 3),
        words: Words::Text {
            text: String::new(),
            when_idle: false,
        },
    };
    let word = typed(&others, TypedState::Submitted, None);
    state.message(Message::Typed(word), NOW);
    assert!(!text(&state).contains("submitted"));
    keys(&mut state, "4");
    let log = text(&state);
    assert!(log.contains("uid:1000 typed \"1\": submitted"), "{log}");
    // An answer that nobody waits for changes nothing.
    others.key = "k2".to_owned();
    answered(&mut state, typed(&others, TypedState::Refused, None));
    assert!(!text(&state).contains("refused"));
}

#[test]
fn in_a_pane_it_is_the_pane_s_terminal() {
    let mut state = asking(120, 40, ASKED);
    let second = command(42, "coder-2", "bash", CommandState::Running);
    let mut agent = one_of_each().swap_remove(1);
    agent.commands.push(second);
    state.message(Message::Agent(agent), NOW);
    key(&mut state, KeyCode::Enter);
    assert_eq!(state.mode(), Mode::Pane);
    let said = sayings(keys(&mut state, "Shi\n"));
    assert_eq!(said[0].to, listener("coder-2", 2));
}

#[test]
fn what_is_typed_is_seen_at_every_width() {
    for (typed, named) in [("1", "1?"), ("\u{1b}", "Esc?"), ("y\r", "y Enter?")] {
        for cols in 15..130 {
            let mut state = asking(cols, 10, ASKED);
            let mut asked = approval(ASKED);
            asked.approve = typed.to_owned();
            let mut agents = one_of_each();
            agents[1].commands[0].approval = Some(asked);
            let more = false;
            state.message(Message::Agents(AgentList { agents, more }), NOW);
            keys(&mut state, "a");
            let told = text(&state);
            let above = format!("types {}", named.trim_end_matches('?'));
            assert!(
                told.contains(named) || told.contains(&above),
                "{cols}: {told}"
            );
        }
    }
}
