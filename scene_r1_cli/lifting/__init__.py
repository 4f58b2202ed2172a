"""Steps of lifting masks to points, each a pure function of views that one screen can hold."""
