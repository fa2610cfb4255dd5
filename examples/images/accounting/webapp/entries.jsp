<%-- POST text=…: writes an entry into the books, and tells the queue. GET: all entries. --%><%@ include file="WEB-INF/parts.jspf" %><%
    try (java.sql.Connection books = books()) {
        if ("POST".equals(request.getMethod())) {
            String text = request.getParameter("text");
            PreparedStatement insert = books.prepareStatement("INSERT INTO entries (text) VALUES (?)");
            insert.setString(1, text);
            insert.executeUpdate();
            javax.jms.Connection broker = broker();
            try (AutoCloseable closing = broker::close) {
                Session session_ = broker.createSession(false, Session.AUTO_ACKNOWLEDGE);
                session_.createProducer(session_.createQueue("entries")).send(session_.createTextMessage(text));
            }
        }
        StringBuilder all = new StringBuilder();
        ResultSet rows = books.createStatement().executeQuery("SELECT text FROM entries ORDER BY id");
        while (rows.next()) all.append(all.length() == 0 ? "" : ",").append(quoted(rows.getString(1)));
        out.print("{\"environment\":" + quoted(System.getenv("ENVIRONMENT")) + ",\"entries\":[" + all + "]}");
    }
%>
