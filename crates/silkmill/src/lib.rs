//! Threads that return values, and a thread pool for blocking work.
