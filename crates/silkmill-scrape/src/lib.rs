//! Fetches URLs and reads what they say.
