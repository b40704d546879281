//! What holds for every policy and every caller, against a model written in the most obvious way.

mod properties;
mod random;
