"""Follow instances through videos."""
