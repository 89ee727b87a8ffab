//! Payloads about messages typed into terminals.

use opsctl_protocol::message::{
    ApprovalAnswer, Evidence, Obstacle, TerminalCancel, TerminalMessages, TerminalQueue,
    TerminalType, TerminalTyped, TypedState, Verdict,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{agent_id, command, command_id, number, text, timestamp};

pub(super) fn type_() -> impl Strategy<Value = TerminalType> {
    let verdict = select(vec![Verdict::Approve, Verdict::Deny]);
    let answer =
        (verdict, command::approval()).prop_map(|(verdict, seen)| ApprovalAnswer { verdict, seen });
    (
        (text(), option::of(command_id()), option::of(agent_id())),
        (option::of(text()), option::of(answer), option::of(number())),
        (any::<[bool; 6]>()),
    )
        .prop_map(
            |((key, command_id, agent_id), (text, answer, ttl_ms), flags)| TerminalType {
                key,
                command_id,
                agent_id,
                text,
                answer,
                submit: flags[0],
                lines: flags[1],
                when_idle: flags[2],
                ttl_ms,
                at_approval: flags[3],
                while_working: flags[4],
                over_draft: flags[5],
            },
        )
}

pub(super) fn typed() -> impl Strategy<Value = TerminalTyped> {
    use Obstacle::{Approval, Changed, Draft, Ended, Lines, Offline, Unconfirmed, Working};
    use TypedState::{Cancelled, Expired, Queued, Refused, Submitted, Typed};
    let state = select(vec![Queued, Typed, Submitted, Refused, Expired, Cancelled]);
    let obstacle = select(vec![
        Approval,
        Changed,
        Working,
        Draft,
        Lines,
        Offline,
        Unconfirmed,
        Ended,
    ]);
    let evidence = select(vec![
        Evidence::Output,
        Evidence::Working,
        Evidence::Answered,
    ]);
    (
        (text(), agent_id(), command_id(), state),
        (option::of(any::<u32>()), option::of(obstacle)),
        (option::of(text()), option::of(evidence)),
        (text(), text(), timestamp(), option::of(timestamp())),
    )
        .prop_map(|(names, place, why, rest)| TerminalTyped {
            key: names.0,
            agent_id: names.1,
            command_id: names.2,
            state: names.3,
            queue_position: place.0,
            obstacle: place.1,
            reason: why.0,
            evidence: why.1,
            text: rest.0,
            requested_by: rest.1,
            created_at: rest.2,
            expires_at: rest.3,
        })
}

pub(super) fn cancel() -> impl Strategy<Value = TerminalCancel> {
    text().prop_map(|key| TerminalCancel { key })
}

pub(super) fn queue() -> impl Strategy<Value = TerminalQueue> {
    option::of(text()).prop_map(|selector| TerminalQueue { selector })
}

pub(super) fn messages() -> impl Strategy<Value = TerminalMessages> {
    vec(typed().boxed(), 0..3).prop_map(|messages| TerminalMessages { messages })
}
