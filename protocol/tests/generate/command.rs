//! Payloads about commands, their life and their output.

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{
    AcceptedCommand, Activity, ActivitySource, Approval, CommandAccepted, CommandCancel,
    CommandExecute, CommandInterrupt, CommandList, CommandQuery, CommandReport, CommandRequest,
    CommandResize, CommandSpec, CommandStatus, CommandSummary, Gap, Program, Signal, State, Stdin,
    Target, TerminalAck, TerminalOutput, TerminalSnapshot,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{agent_id, bytes, command_id, kind, number, session, side, text, timestamp, words};

fn program() -> impl Strategy<Value = Program> {
    prop_oneof![
        vec(text(), 0..4).prop_map(Program::Argv),
        text().prop_map(Program::Shell)
    ]
}

fn spec() -> impl Strategy<Value = CommandSpec> {
    let size = (any::<bool>(), side(), side());
    let place = (
        option::of(text()),
        words(),
        select(vec![Stdin::None, Stdin::Stream]),
    );
    (
        program(),
        size,
        place,
        option::of(number()),
        option::of(number()),
    )
        .prop_map(
            |(program, (pty, cols, rows), (cwd, env, stdin), timeout_ms, kill_grace_ms)| {
                CommandSpec {
                    program,
                    pty,
                    cols,
                    rows,
                    cwd,
                    env,
                    stdin,
                    timeout_ms,
                    kill_grace_ms,
                }
            },
        )
}

pub(super) fn request() -> impl Strategy<Value = CommandRequest> {
    let target = prop_oneof![
        agent_id().prop_map(Target::Agent),
        text().prop_map(Target::Selector)
    ];
    let bounds = (
        option::of(number()),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
    );
    (text(), target, spec(), bounds).prop_map(|(key, target, spec, (ttl_ms, fanout, limit))| {
        CommandRequest {
            key,
            target,
            spec,
            ttl_ms,
            fanout,
            limit,
        }
    })
}

pub(super) fn accepted() -> impl Strategy<Value = CommandAccepted> {
    let one = (agent_id(), command_id()).prop_map(|(agent_id, command_id)| AcceptedCommand {
        agent_id,
        command_id,
    });
    (text(), vec(one, 0..4), vec(agent_id(), 0..3)).prop_map(|(key, commands, offline)| {
        CommandAccepted {
            key,
            commands,
            offline,
        }
    })
}

pub(super) fn execute() -> impl Strategy<Value = CommandExecute> {
    (command_id(), spec()).prop_map(|(command_id, spec)| CommandExecute { command_id, spec })
}

fn state() -> impl Strategy<Value = State> {
    use State::{Cancelled, Delivered, Exited, Expired, Failed, Lost, Queued, Running};
    select(vec![
        Queued, Delivered, Running, Exited, Failed, Cancelled, Expired, Lost,
    ])
}

pub(super) fn status() -> impl Strategy<Value = CommandStatus> {
    let names = (command_id(), option::of(agent_id()), state());
    let end = (
        option::of(any::<i32>()),
        option::of(any::<i32>()),
        any::<bool>(),
        option::of(text()),
    );
    let times = (option::of(timestamp()), option::of(timestamp()));
    let offsets = (
        option::of(number()),
        option::of(number()),
        option::of(number()),
    );
    (
        names,
        end,
        times,
        offsets,
        option::of(summary().prop_map(Box::new)),
    )
        .prop_map(|(names, end, times, offsets, command)| CommandStatus {
            command_id: names.0,
            agent_id: names.1,
            state: names.2,
            exit_code: end.0,
            signal: end.1,
            timed_out: end.2,
            reason: end.3,
            started_at: times.0,
            finished_at: times.1,
            offset: offsets.0,
            input_offset: offsets.1,
            input_refused: offsets.2.is_some_and(|offset| offset % 2 == 0),
            input_received: offsets.2,
            command,
        })
}

pub(super) fn report() -> impl Strategy<Value = CommandReport> {
    (
        status(),
        number(),
        number(),
        option::of(spec()),
        any::<bool>(),
    )
        .prop_map(|(status, from, to, spec, main)| CommandReport {
            status,
            from,
            to,
            spec,
            main,
        })
}

pub(super) fn approval() -> impl Strategy<Value = Approval> {
    (text(), text(), text()).prop_map(|(asked, approve, deny)| Approval {
        asked,
        approve,
        deny,
    })
}

/// What a command is doing: activity, reason, source, since when, and what it asks.
fn doing() -> impl Strategy<
    Value = (
        Activity,
        Option<String>,
        Option<ActivitySource>,
        Option<Timestamp>,
        Option<Approval>,
    ),
> {
    let approval = approval();
    (
        session::activity(),
        option::of(text()),
        option::of(session::activity_source()),
        option::of(timestamp()),
        option::of(approval),
    )
}

pub(super) fn summary() -> impl Strategy<Value = CommandSummary> {
    let names = (
        command_id(),
        agent_id(),
        program(),
        text(),
        option::of(text()),
    );
    let size = (any::<bool>(), side(), side());
    let end = (
        option::of(any::<i32>()),
        option::of(any::<i32>()),
        any::<bool>(),
        option::of(text()),
    );
    let times = (
        timestamp(),
        option::of(timestamp()),
        option::of(timestamp()),
    );
    let queue = (option::of(any::<u32>()), option::of(timestamp()));
    (
        names,
        size,
        state(),
        end,
        times,
        number(),
        any::<bool>(),
        queue,
        doing(),
    )
        .prop_map(
            |(names, size, state, end, times, output_bytes, main, queue, doing)| CommandSummary {
                command_id: names.0,
                agent_id: names.1,
                program: names.2,
                requested_by: names.3,
                cwd: names.4,
                pty: size.0,
                cols: size.1,
                rows: size.2,
                state,
                exit_code: end.0,
                signal: end.1,
                timed_out: end.2,
                reason: end.3,
                created_at: times.0,
                started_at: times.1,
                finished_at: times.2,
                output_bytes,
                main,
                queue_position: queue.0,
                expires_at: queue.1,
                activity: doing.0,
                activity_reason: doing.1,
                activity_source: doing.2,
                activity_since: doing.3,
                approval: doing.4,
            },
        )
}

pub(super) fn query() -> impl Strategy<Value = CommandQuery> {
    (
        option::of(text()),
        option::of(text()),
        vec(state(), 0..4),
        option::of(timestamp()),
        option::of(command_id()),
        option::of(any::<u32>()),
    )
        .prop_map(
            |(id_prefix, selector, states, before, before_id, limit)| CommandQuery {
                id_prefix,
                selector,
                states,
                before,
                before_id,
                limit,
            },
        )
}

pub(super) fn list() -> impl Strategy<Value = CommandList> {
    (vec(summary(), 0..4), any::<bool>())
        .prop_map(|(commands, more)| CommandList { commands, more })
}

pub(super) fn interrupt() -> impl Strategy<Value = CommandInterrupt> {
    (
        option::of(command_id()),
        option::of(agent_id()),
        select(Signal::ALL.to_vec()),
        any::<bool>(),
    )
        .prop_map(
            |(command_id, agent_id, signal, escalate)| CommandInterrupt {
                command_id,
                agent_id,
                signal,
                escalate,
            },
        )
}

pub(super) fn cancel() -> impl Strategy<Value = CommandCancel> {
    command_id().prop_map(|command_id| CommandCancel { command_id })
}

pub(super) fn resize() -> impl Strategy<Value = CommandResize> {
    (command_id(), side(), side()).prop_map(|(command_id, cols, rows)| CommandResize {
        command_id,
        cols,
        rows,
    })
}

pub(super) fn output() -> impl Strategy<Value = TerminalOutput> {
    let names = (option::of(agent_id()), command_id(), number(), kind());
    (
        names,
        bytes(),
        option::of(timestamp()),
        option::of(side()),
        option::of(side()),
    )
        .prop_map(
            |((agent_id, command_id, offset, kind), data, time, cols, rows)| TerminalOutput {
                agent_id,
                command_id,
                offset,
                kind,
                data,
                time,
                cols,
                rows,
            },
        )
}

pub(super) fn snapshot() -> impl Strategy<Value = TerminalSnapshot> {
    (
        agent_id(),
        command_id(),
        number(),
        (side(), side()),
        bytes(),
    )
        .prop_map(
            |(agent_id, command_id, offset, (cols, rows), data)| TerminalSnapshot {
                agent_id,
                command_id,
                offset,
                cols,
                rows,
                data,
            },
        )
}

pub(super) fn gap() -> impl Strategy<Value = Gap> {
    (command_id(), number(), number(), text()).prop_map(|(command_id, from, to, reason)| Gap {
        command_id,
        from,
        to,
        reason,
    })
}

pub(super) fn ack() -> impl Strategy<Value = TerminalAck> {
    (command_id(), number(), any::<bool>()).prop_map(|(command_id, offset, settled)| TerminalAck {
        command_id,
        offset,
        settled,
    })
}
