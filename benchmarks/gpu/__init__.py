"""What SD Tune does on a real GPU: whether it trains there as it should, how fast, and in how much memory."""
