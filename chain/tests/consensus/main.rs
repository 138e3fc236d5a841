//! What is true, tested from outside: against Bitcoin's own data, Core's vectors, published edge cases, and by
//! properties. A test that covers a row of the catalogue of malformed input bears the row's id in its name.

mod addresses;
mod codec;
mod headers;
mod merkle;
mod policies;
mod pow;
mod signatures;
mod support;
mod witnesses;
