//! The compose file: reading, filling in variables, checking.
