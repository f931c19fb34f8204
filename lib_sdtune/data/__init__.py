"""Pictures and captions: found, looked at, put into buckets, and handed out as training examples."""
