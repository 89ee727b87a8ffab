//! The fleet's list: groups, order, marks, what needs a person, and how much work a large one makes.

mod world;

use crossterm::event::KeyCode;
use opsctl_protocol::AgentId;
use opsctl_protocol::message::{Activity, AgentInfo, AgentList};
use opsctl_tui::state::doing::{Doing, Need};
use opsctl_tui::state::roster::{Group, Row};
use opsctl_tui::state::{Effect, Message, State, View};
use proptest::prelude::*;
use world::*;

fn name(name: &str) -> AgentId {
    AgentId::new(name).expect("a valid name")
}

fn with(cols: u16, rows: u16, agents: Vec<AgentInfo>) -> State {
    let mut state = console(cols, rows);
    state.message(
        Message::Connected(connected(opsctl_protocol::message::Role::Admin)),
        NOW,
    );
    state.message(
        Message::Agents(AgentList {
            agents,
            more: false,
        }),
        NOW,
    );
    state
}

/// The rows as they are listed, headings in brackets.
fn listed(state: &State) -> Vec<String> {
    let roster = state.fleet.roster();
    let rows = std::iter::successors(roster.first(false), |cursor| roster.below(*cursor));
    rows.map(|cursor| match roster.row(cursor).expect("a row") {
        Row::Heading(group) => format!("[{:?}]", group.name),
        Row::Agent(agent) => agent.to_string(),
    })
    .collect()
}

fn selected(state: &State) -> &str {
    state.list.agent.as_ref().map_or("", AgentId::as_str)
}

#[test]
fn groups_and_states() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let mut state = with(cols, rows, one_of_each());
        keys(&mut state, "n  ");
        insta::assert_snapshot!(format!("groups_{cols}x{rows}"), text(&state));
    }
}

#[test]
fn what_needs_a_person_comes_first_and_n_jumps_through_it() {
    let mut state = with(120, 40, one_of_each());
    let expected = [
        r#"[Of("opsctl")]"#,
        "coder-2",
        "coder-3",
        "coder-1",
        r#"[Of("shop")]"#,
        "coder-4",
        "coder-5",
        "coder-6",
        "coder-7",
        "[Without]",
        "web-1",
        "web-2",
    ];
    assert_eq!(listed(&state), expected);
    state.list.agent = Some(name("web-1"));
    let mut visited = Vec::new();
    for key in "nnnnNN".chars() {
        keys(&mut state, &key.to_string());
        visited.push(selected(&state).to_owned());
    }
    assert_eq!(
        visited,
        [
            "coder-2", "coder-3", "coder-4", "coder-2", "coder-4", "coder-3"
        ]
    );
    keys(&mut state, "s");
    assert_eq!(
        state.fleet.doing(&name("coder-3")),
        Doing::Idle,
        "done and seen is idle"
    );
    assert_eq!(selected(&state), "coder-3");
}

#[test]
fn who_waits_for_an_answer_stays_in_sight() {
    let mut state = with(40, 10, one_of_each());
    state.list.agent = Some(name("web-2"));
    let shown = text(&state);
    let first = shown.lines().nth(2).unwrap_or_default();
    assert!(first.contains("blocked  coder-2"), "{shown}");
    assert!(shown.contains("web-2"), "{shown}");
    // In a group further down as well; where all are seen, each stands once.
    let mut agents = one_of_each();
    agents[7] = doing(agents[7].clone(), Activity::Blocked, None);
    for (cols, rows, times) in [(40, 10, 1), (120, 40, 1)] {
        let mut state = with(cols, rows, agents.clone());
        state.list.agent = Some(name("coder-2"));
        let shown = text(&state);
        assert_eq!(shown.matches("blocked  web-1").count(), times, "{shown}");
        assert_eq!(shown.matches("blocked  coder-2").count(), 1, "{shown}");
    }
    // Who folded a group wants none of it; what the filter leaves out stays out.
    let mut state = with(40, 10, one_of_each());
    state.list.agent = Some(name("coder-2"));
    key(&mut state, KeyCode::Left);
    state.list.agent = Some(name("web-2"));
    assert!(
        !text(&state).contains("blocked  coder-2"),
        "{}",
        text(&state)
    );
    keys(&mut state, "/web\n");
    assert!(!text(&state).contains("coder-2"), "{}", text(&state));
    // Those who wait don't push each other away.
    let all = (0..20).map(|n| numbered_agent(n, Activity::Blocked));
    let mut state = with(40, 10, all.collect());
    keys(&mut state, ":group none\n0");
    let shown = text(&state);
    let order: Vec<&str> = shown.lines().skip(2).take(3).collect();
    assert!(order[0].contains("agent-0"), "{shown}");
    assert!(order[1].contains("agent-1"), "{shown}");
}

#[test]
fn what_is_looked_at_in_a_pane_is_seen() {
    let mut state = with(120, 40, one_of_each());
    state.list.agent = Some(name("coder-3"));
    keys(&mut state, "+");
    assert_eq!(state.fleet.doing(&name("coder-3")), Doing::Idle);
    state.list.agent = Some(name("coder-2"));
    keys(&mut state, "+");
    assert_eq!(state.fleet.doing(&name("coder-2")), Doing::Blocked);
    keys(&mut state, "n");
    assert_eq!(
        selected(&state),
        "coder-4",
        "who is blocked needs an answer, not a look"
    );
    // It does something and is done again: that is news.
    let mut again = one_of_each().swap_remove(2);
    again.activity_since = Some(NOW);
    keys(&mut state, "ww");
    state.message(Message::Agent(again), NOW);
    assert_eq!(state.fleet.doing(&name("coder-3")), Doing::Done);
}

#[test]
fn groups_fold_and_other_keys_make_other_groups() {
    let mut state = with(120, 40, one_of_each());
    state.list.agent = Some(name("coder-5"));
    key(&mut state, KeyCode::Left);
    assert!(!listed(&state).contains(&"coder-5".to_owned()));
    assert_eq!(state.list.agent, None, "its heading is selected");
    keys(&mut state, "n");
    assert_eq!(selected(&state), "coder-4", "a jump unfolds");
    keys(&mut state, "kh:group zone\n");
    let zones = listed(&state);
    let headings = zones.iter().filter(|row| row.starts_with('['));
    let expected = ["[Without]", r#"[Of("a")]"#, r#"[Of("b")]"#];
    assert!(
        headings.eq(expected.iter()),
        "those without need somebody: {zones:?}"
    );
    keys(&mut state, ":group project\n");
    assert!(
        !listed(&state).contains(&"coder-5".to_owned()),
        "it is still folded"
    );
    for _ in 0..5 {
        keys(&mut state, "b");
    }
    assert_eq!(
        state.fleet.roster().grouping().to_string(),
        "project",
        "once around"
    );
    keys(&mut state, ":group none\n");
    assert!(!state.fleet.roster().has_headings());
}

#[test]
fn marked_agents_are_acted_on_together() {
    let mut state = with(200, 60, one_of_each());
    state.list.agent = Some(name("coder-2"));
    keys(&mut state, "  ");
    assert_eq!(selected(&state), "coder-1");
    let interrupted = keys(&mut state, "x");
    let both = [
        Effect::Signal(id(2), opsctl_protocol::message::Signal::Int),
        Effect::Signal(id(3), opsctl_protocol::message::Signal::Int),
    ];
    assert_eq!(interrupted, both);
    let run = keys(&mut state, "rls\ny");
    assert_eq!(run.len(), 2, "{run:?}");
    keys(&mut state, "+");
    assert_eq!(state.panes.len(), 2);
    assert!(state.panes.grid);
    key(&mut state, KeyCode::Esc);
    assert!(state.list.marks.is_empty());
    // A heading marks all of its group, and again none.
    keys(&mut state, "h");
    keys(&mut state, " ");
    assert_eq!(state.list.marks.len(), 3);
    keys(&mut state, "k ");
    assert!(state.list.marks.is_empty());
}

fn numbered_agent(n: usize, activity: Activity) -> AgentInfo {
    let project = format!("project-{}", n % 37);
    let agent = agent(
        &format!("agent-{n}"),
        &[("project", &project), ("env", "prod")],
        Vec::new(),
    );
    doing(agent, activity, None)
}

#[test]
fn a_thousand_agents_cost_what_is_seen() {
    let agents = (0..1000)
        .map(|n| numbered_agent(n, Activity::Working))
        .collect();
    let mut state = with(200, 60, agents);
    let placed = state.fleet.roster().placements;
    let area = opsctl_tui::layout::list_body(state.layout.list.unwrap());
    for _ in 0..300 {
        key(&mut state, KeyCode::Down);
        assert!(state.shown_rows(area).len() <= usize::from(area.height));
    }
    assert_eq!(
        state.fleet.roster().placements,
        placed,
        "scrolling puts nothing in order"
    );
    state.message(Message::Agent(numbered_agent(500, Activity::Blocked)), NOW);
    assert_eq!(
        state.fleet.roster().placements,
        placed + 1,
        "who changes is put into place alone"
    );
    state.message(Message::Agent(numbered_agent(500, Activity::Blocked)), NOW);
    assert_eq!(
        state.fleet.roster().placements,
        placed + 1,
        "and nobody where nothing changes"
    );
    let needy: Vec<&AgentId> = state.fleet.roster().needy().collect();
    assert_eq!(needy, [&name("agent-500")]);
    keys(&mut state, "/agent-99");
    assert_eq!(state.fleet.roster().listed(), 11);
}

#[derive(Debug, Clone)]
enum Step {
    Agent(usize, Activity, bool),
    Forgotten(usize),
    Keys(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let activity = prop::sample::select(vec![
        Activity::Working,
        Activity::Blocked,
        Activity::Done,
        Activity::Error,
        Activity::Idle,
        Activity::Unknown,
    ]);
    let keys = prop::sample::select(vec![
        "j",
        "k",
        "n",
        "N",
        "s",
        "b",
        " ",
        "h",
        "l",
        "\n",
        "0",
        "G",
        "/agent-1\n",
        "/blocked\n",
        ":filter\n",
        ":group zone\n",
        ":group none\n",
        ":group project\n",
        "2",
        "2x",
        "2j",
        "1",
        ":agents\n",
    ]);
    prop_oneof![
        4 => (0usize..30, activity, any::<bool>()).prop_map(|(n, activity, gone)| Step::Agent(n, activity, gone)),
        1 => (0usize..30).prop_map(Step::Forgotten),
        4 => keys.prop_map(Step::Keys),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_order_is_total_and_the_selection_stays(steps in prop::collection::vec(step(), 1..80)) {
        let mut state = with(120, 40, Vec::new());
        for step in steps {
            let before = state.list.agent.clone();
            let moves = matches!(step, Step::Keys(_));
            match step.clone() {
                Step::Agent(n, activity, gone) => {
                    let mut agent = numbered_agent(n, activity);
                    if gone {
                        agent.status = opsctl_protocol::message::Presence::Disconnected;
                    }
                    state.message(Message::Agent(agent), NOW);
                }
                Step::Forgotten(n) => {
                    state.message(Message::Forgotten(name(&format!("agent-{n}"))), NOW);
                }
                Step::Keys(text) => {
                    keys(&mut state, text);
                }
            }
            let roster = state.fleet.roster();
            // Every agent that fits is in exactly one group, and those that need a person come first.
            let mut members: Vec<&AgentId> = roster.groups().iter().flat_map(Group::agents).collect();
            prop_assert_eq!(members.len(), roster.listed());
            for group in roster.groups() {
                let order: Vec<_> = group.agents().map(|agent| (roster.need(agent), agent)).collect();
                prop_assert!(order.is_sorted() && !order.is_empty(), "{:?}", order);
            }
            let first: Vec<_> = roster.groups().iter()
                .map(|group| (group.agents().map(|agent| roster.need(agent)).min(), &group.name)).collect();
            prop_assert!(first.is_sorted(), "{:?}", first);
            members.sort();
            members.dedup();
            prop_assert_eq!(members.len(), roster.listed());
            prop_assert_eq!(roster.totals().all(), state.fleet.agents().count());
            let needy: usize = members.iter().filter(|agent| roster.need(agent) < Need::Nothing).count();
            prop_assert_eq!(roster.needy().count(), needy);
            let inbox: Vec<&AgentId> = roster.inbox().collect();
            let all = state.fleet.agents().map(|agent| &agent.agent_id);
            let waiting = all.filter(|agent| roster.need(agent) < Need::Nothing);
            prop_assert_eq!(inbox.len(), waiting.count(), "whatever is listed");
            if state.view == View::Inbox {
                let at = inbox.iter().position(|agent| Some(*agent) == state.inbox.selected.as_ref());
                prop_assert_eq!(at, (!inbox.is_empty()).then(|| state.item_at()), "after {:?}", step);
            } else if !state.list.commands {
                // Something is selected if anything is there, it is a row, and both ways from it lead through all rows.
                let cursor = state.list.agent.as_ref().and_then(|agent| roster.cursor(agent))
                    .or_else(|| roster.heading(state.list.group.as_ref()?));
                prop_assert_eq!(cursor.is_some(), roster.listed() > 0, "after {:?}", step);
                let down = std::iter::successors(roster.first(false), |cursor| roster.below(*cursor));
                let mut up: Vec<_> = std::iter::successors(roster.last(), |cursor| roster.above(*cursor)).collect();
                up.reverse();
                let down: Vec<_> = down.collect();
                prop_assert_eq!(&up, &down);
                prop_assert!(cursor.is_none_or(|cursor| down.contains(&cursor)));
                prop_assert_eq!(roster.height(1, usize::MAX), down.len());
            }
            if let Some(before) = before.filter(|before| !moves && roster.cursor(before).is_some_and(|at| roster.row(at).is_some_and(|row| matches!(row, Row::Agent(_))))) {
                prop_assert_eq!(state.list.agent.as_ref(), Some(&before), "{:?} moved the selection", step);
            }
        }
        text(&state);
    }
}
