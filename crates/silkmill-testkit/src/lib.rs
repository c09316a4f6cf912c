//! A scripted loopback server and trees of files, for tests and the demo.
