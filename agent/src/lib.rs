//! The far end: link to the daemon, runner of commands, holder of their terminals.
