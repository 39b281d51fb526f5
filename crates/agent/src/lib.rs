//! The built-in agent: a client of the HTTP API with an agent key.
