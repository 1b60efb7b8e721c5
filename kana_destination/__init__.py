"""The Kana destination: what its definition cannot say as data, and its sandbox server."""
