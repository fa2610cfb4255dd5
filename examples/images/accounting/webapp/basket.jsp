<%-- POST item=…: puts it into the basket, which is in the session. GET: what is in it. --%><%@ include file="WEB-INF/parts.jspf" %><%
    java.util.List<String> basket = (java.util.List<String>) session.getAttribute("basket");
    if (basket == null) basket = new java.util.ArrayList<>();
    if ("POST".equals(request.getMethod())) basket.add(request.getParameter("item"));
    session.setAttribute("basket", basket);
    StringBuilder all = new StringBuilder();
    for (String item : basket) all.append(all.length() == 0 ? "" : ",").append(quoted(item));
    out.print("{\"basket\":[" + all + "]}");
%>
