-- Agents, requests and commands. Only TEXT and BIGINT, so that the same text works on SQLite and PostgreSQL; times are
-- milliseconds since the epoch, ids are lower-case hex, lists and maps are JSON.

CREATE TABLE agents (
    agent_id     TEXT PRIMARY KEY,
    labels       TEXT NOT NULL,
    facts        TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    max_commands BIGINT,
    activity     TEXT NOT NULL,
    since        BIGINT NOT NULL,
    last_seen    BIGINT NOT NULL
);

CREATE TABLE requests (
    request_key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    subject     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    fanout      BIGINT,
    offline     TEXT NOT NULL
);

-- request_key is '' for an agent's main terminal, which nobody asked for. position is the place in the request's answer.
CREATE TABLE commands (
    command_id   TEXT PRIMARY KEY,
    agent_id     TEXT NOT NULL,
    request_key  TEXT NOT NULL,
    position     BIGINT NOT NULL,
    requested_by TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    main         BIGINT NOT NULL,
    spec         TEXT NOT NULL,
    ttl_ms       BIGINT,
    expires_at   BIGINT,
    cols         BIGINT NOT NULL,
    rows         BIGINT NOT NULL,
    state        TEXT NOT NULL,
    exit_code    BIGINT,
    signal       BIGINT,
    timed_out    BIGINT NOT NULL,
    reason       TEXT,
    started_at   BIGINT,
    finished_at  BIGINT,
    output_bytes BIGINT NOT NULL
);

CREATE INDEX commands_by_age ON commands (created_at DESC, position);
CREATE INDEX commands_by_agent ON commands (agent_id, created_at DESC, position);
CREATE INDEX commands_by_request ON commands (request_key, position);
CREATE INDEX commands_unfinished ON commands (created_at, position)
    WHERE state IN ('queued', 'delivered', 'running');
