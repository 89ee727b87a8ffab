//! The middle: ingress, hub, rings and cursors, store and output log.
