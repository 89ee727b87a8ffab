//! The console: connection, state, view.
