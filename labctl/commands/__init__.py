"""What a verb does: model and engine in, a frozen result out; nothing here prints."""
