-- Messages typed into terminals. What is asked and how it stands are JSON; what was sent, where it stands in the terminal's
-- input, tells after a crash whether it was typed.
CREATE TABLE messages (
    message_key TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    is_open BOOLEAN NOT NULL,
    asked TEXT NOT NULL,
    typed TEXT NOT NULL,
    sent_from BIGINT,
    sent BLOB
);
CREATE INDEX messages_by_age ON messages (is_open, created_at);
