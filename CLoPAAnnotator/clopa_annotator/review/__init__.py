"""What a second person looks at: the list of a review, and how well two people agree."""
