-- What stood in a terminal's input behind the last Enter when the daemon last wrote it down: how many characters, about, and
-- how many bytes of input there were. NULL where nobody followed the keys.
ALTER TABLE commands ADD COLUMN draft_count BIGINT;
ALTER TABLE commands ADD COLUMN draft_to BIGINT;
