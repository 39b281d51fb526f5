//! Rows of the attack table in SECURITY.md, each by its name, over the real API of a served
//! deployment. What needs no server is tried where it is decided: in `gate`, `verify`, `evidence`.

mod credentials;
mod hostile;
mod split;
mod warrants;
