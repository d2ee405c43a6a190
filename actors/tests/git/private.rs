//! What holds for private repositories alone.
