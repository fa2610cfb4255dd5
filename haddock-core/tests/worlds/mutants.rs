//! Planted bugs: with any one rule switched off, some invariant breaks.
