//! Finds text in many files and replaces it safely.
