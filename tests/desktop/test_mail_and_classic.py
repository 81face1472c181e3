"""Mail written in one half of the window and read in the other; the classic protocols, each by its tab."""


class TestMail:
    def test_sent_read_by_pop3_then_by_imap(self, desk, lab):
        window = desk("--tab", "mail")
        window.fill("subject", "From the window")
        body = window.one("body")
        window.screen.click(body["x"] + 20, body["y"] + 20)
        window.screen.type("Grüße aus dem Labor.")
        window.press("send")
        window.sees("Successfully sent email")

        def fetched():
            window.press("fetch")
            window.sees("of bob@lab.test")
            return "From the window" in cells(window)

        window.wait(fetched, "the mail to be delivered")
        read(window)
        way = window.one("by")
        window.screen.click(way["x"] + way["width"] // 2, way["y"] + way["height"] // 2)
        window.screen.key("Down")
        window.screen.key("Return")
        window.wait(lambda: window.one("by")["value"] == "IMAP" or None, "IMAP to be chosen")
        window.press("fetch")
        window.sees("by IMAP")
        read(window)

    def test_a_wrong_password_is_told_in_the_servers_words(self, desk):
        window = desk("--tab", "mail")
        window.fill("password", "wrong")
        window.press("fetch")
        window.sees("the server said:", patience=30)

    def test_an_address_that_is_none_is_told_before_anything_is_sent(self, desk):
        window = desk("--tab", "mail")
        window.fill("to", "nobody")
        window.press("send")
        window.sees("`nobody` is not an address such as alice@lab.test")


def cells(window):
    return [cell for widget in window.tree() if widget["mapped"] for row in widget.get("rows", ()) for cell in row]


def read(window):
    window.choose_row("alice@lab.test")
    window.sees("Subject: From the window")
    window.sees("Grüße aus dem Labor.")


def inner(window, number):
    """Open the tab of that number within Classic, by the keyboard: the tabs take the focus, arrows change them."""
    book = window.one("book")
    window.screen.click(book["x"] + 20, book["y"] + 16)
    for _ in range(number):
        window.screen.key("Right")


class TestClassic:
    def test_ftp_lists_and_fetches(self, desk, lab):
        window = desk("--tab", "classic")
        window.press("list")
        window.sees("← 230 Login successful.")
        window.choose_row("readme.txt")
        window.press("download")
        window.sees("readme.txt: 232 B")
        assert lab.exec("desktop", "stat", "-c", "%s", "/home/lab/downloads/readme.txt").strip() == "232"

    def test_news_are_read_and_posted(self, desk):
        window = desk("--tab", "classic")
        inner(window, 1)
        window.press("groups")
        window.wait(lambda: "lab.test" in cells(window) or None, "the groups")
        window.choose_row("lab.test")
        window.sees("lab.test: ")
        window.fill("subject", "From the window")
        window.fill("text", "hello, news")
        window.press("post")
        window.sees("posted to lab.test")
        window.choose_row("lab.announce")
        window.sees("lab.announce: ")
        window.wait(lambda: "Welcome to the lab's news" in cells(window) or None, "the articles")
        window.choose_row("Welcome to the lab's news")
        window.sees("Newsgroups: lab.announce")

    def test_telnet_logs_in(self, desk):
        window = desk("--tab", "classic")
        inner(window, 2)
        window.press("connect")
        window.sees("login:")
        window.fill("line", "student")
        window.screen.key("Return")
        window.sees("Password:")
        window.press("fill_in")
        window.wait(lambda: set(window.one("line")["value"]) == {"*"} or None, "the password behind asterisks")
        window.press("send")
        window.wait(lambda: window.one("line")["value"] == "" or None, "the line to be sent")
        window.sees("$")
        window.fill("line", "echo 6 times 7 is $((6*7))")
        window.screen.key("Return")
        window.sees("6 times 7 is 42")
        window.press("connect")  # is called Hang up now

    def test_gopher_goes_from_menu_to_text_and_back(self, desk):
        window = desk("--tab", "classic")
        inner(window, 3)
        window.press("menu")
        window.sees("lines of menu")
        window.choose_row("About this server")
        window.screen.key("Return")
        window.wait(
            lambda: any(len(w.get("value", "")) > 100 for w in window.tree() if w["mapped"]) or None, "the text"
        )
